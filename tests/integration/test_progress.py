"""How far an export is: counted from receipts, and never less than was said before."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from tests.integration.deployed import until

if TYPE_CHECKING:
    from tests.integration.api import Caller
    from tests.integration.deployed import Deployed

PARTS = 8


def test_progress_counts_receipts_and_never_goes_back_whichever_environment_answers(
    caller: Caller, deployed: Deployed
) -> None:
    export_id = deployed.fabricate(caller.owner, "RUNNING")
    path, folder = f"/exports/{export_id}", f"work/{export_id}/{'0' * 16}"
    deployed.write_json(f"{folder}/plan.json", {"plan": "0" * 16, "parts_total": PARTS})
    assert caller.get(path).json["progress"] == {"parts_done": 0, "parts_total": PARTS}
    most, rounds = 0, []
    with ThreadPoolExecutor(3) as pool:
        for part in reversed(range(PARTS)):
            deployed.write_json(f"{folder}/parts/{part:06}", {})
            deployed.write_json(f"{folder}/receipts/{part:06}.json", {})
            # Several at once are answered by several execution environments, one alone by any of them.
            asked = [path] * (3 if part % 2 else 1)
            rounds.append([answer.json["progress"]["parts_done"] for answer in pool.map(caller.get, asked)])
    for answers in rounds:
        assert min(answers) >= most, rounds
        most = max(answers)
    until(lambda: caller.get(path).json["progress"]["parts_done"] == PARTS, "every receipt to be counted")
