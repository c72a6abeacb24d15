"""`sam local invoke` for every function and every fixture: the outcome is the one that stands beside the event."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.fixtures.fixture import FIXTURES, REFUSED, Fixture
from tests.fixtures.replay import replay
from tests.fixtures.test_emulator import one_after_the_other

if TYPE_CHECKING:
    from tests.sam_local.containers import Containers


@pytest.mark.parametrize("fixture", [one_after_the_other(each) for each in (*FIXTURES, *REFUSED)])
def test_the_outcome_is_the_same_in_a_container(fixture: Fixture, containers: Containers) -> None:
    assert replay(fixture, containers) == []
