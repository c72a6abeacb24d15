"""The product's functions on a world in memory."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.stateful.stage import Stage
from tests.stateful.world import World, product


@pytest.fixture(scope="module", autouse=True)
def _product(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    if request.module.__name__.endswith("test_memory"):  # which is about moto
        yield
        return
    with product(tmp_path_factory.mktemp("reports")):
        yield


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.close()


@pytest.fixture
def stage() -> Iterator[Stage]:
    made = Stage()
    yield made
    made.close()
