"""Every line that a worker logs for an export can be found by the export's id."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.deployed import until

if TYPE_CHECKING:
    from tests.integration.api import Followed
    from tests.integration.deployed import Deployed


@pytest.mark.parametrize("function", ["plan-parts", "generate-part", "assemble-file"])
def test_every_line_carries_the_export_and_no_row(function: str, united: Followed, deployed: Deployed) -> None:
    export = united.end
    invocations = export["progress"]["parts_total"] if function == "generate-part" else 1

    def of_this_export() -> list[list[dict[str, Any]]]:
        """The lines of each invocation for this export, when there are enough."""
        by_request: dict[str, list[dict[str, Any]]] = {}
        for line in deployed.log_lines(function, export["created_at"]):
            by_request.setdefault(line.get("function_request_id", ""), []).append(line)
        found = [lines for lines in by_request.values() if any(export["id"] in str(line) for line in lines)]
        return found if len(found) >= invocations else []

    for lines in until(of_this_export, f"the log lines of {function}"):
        assert {line.get("correlation_id") for line in lines} == {export["id"]}
        assert {line["service"] for line in lines} == {"report-exports"}
        assert {line["function_name"] for line in lines} == {f"{deployed.name}-{function}"}
    # The tail number of United's first flight: no row is ever logged.
    assert "N14228" not in str(deployed.log_lines(function, export["created_at"]))
