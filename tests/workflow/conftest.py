"""A stack on moto for each test, with a small dataset in its bucket."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest

from shared.engine import planning
from tests.support.moto_machine import moto_cloud
from tests.workflow.world import PARTS, World

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    MakeWorld = Callable[..., World]


@pytest.fixture
def make_world(monkeypatch: pytest.MonkeyPatch) -> Iterator[MakeWorld]:
    """Makes the world on a stack with these template parameters."""
    monkeypatch.setattr(planning, "MIN_ROWS", 1)
    with contextlib.ExitStack() as stack:

        def make(**parameters: object) -> World:
            return World(stack.enter_context(moto_cloud(**{"MapConcurrency": PARTS} | parameters)))

        yield make


@pytest.fixture
def world(make_world: MakeWorld) -> World:
    return make_world()
