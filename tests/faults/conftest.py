"""The product's functions on the world in memory of tests/stateful."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.stateful.world import product

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module", autouse=True)
def _product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with product(tmp_path_factory.mktemp("reports")):
        yield
