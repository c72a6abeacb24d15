"""How far an export is: counted from receipts, and never less than was said before."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.integration.api import Caller
    from tests.integration.deployed import Deployed

PARTS = 8


@pytest.fixture
def running(caller: Caller, deployed: Deployed) -> tuple[str, Callable[[int], None]]:
    """The path of an export that is RUNNING with a plan of eight parts, and what writes a part's receipt."""
    export_id = deployed.fabricate(caller.owner, "RUNNING")
    folder = f"work/{export_id}/{'0' * 16}"
    deployed.write_json(f"{folder}/plan.json", {"plan": "0" * 16, "parts_total": PARTS})
    return f"/exports/{export_id}", lambda part: deployed.write_json(f"{folder}/receipts/{part:06}.json", {})


def test_progress_counts_receipts(caller: Caller, running: tuple[str, Callable[[int], None]]) -> None:
    path, write_receipt = running
    assert caller.get(path).json["progress"] == {"parts_done": 0, "parts_total": PARTS}
    for part in (5, 0, 7):
        write_receipt(part)
    time.sleep(2)  # what was counted may be remembered for seconds
    assert caller.get(path).json["progress"] == {"parts_done": 3, "parts_total": PARTS}


def test_progress_never_goes_back_whichever_environment_answers(
    caller: Caller, running: tuple[str, Callable[[int], None]]
) -> None:
    path, write_receipt = running
    most, rounds = 0, []
    with ThreadPoolExecutor(3) as pool:
        for part in range(PARTS):
            write_receipt(part)
            # Several at once are answered by several execution environments, one alone by any of them.
            asked = [path] * (3 if part % 2 else 1)
            rounds.append([answer.json["progress"]["parts_done"] for answer in pool.map(caller.get, asked)])
    for answers in rounds:
        assert min(answers) >= most, rounds
        most = max(answers)
