"""GET /reports: what can be exported, so that a form can be made of it and a request checked against it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from shared.errors import InvalidDefinition
from shared.files.formats import FORMATS
from shared.lambda_.contract import validator
from tests.unit.support import REPORTS, Answer, event

pytestmark = pytest.mark.usefixtures("no_aws")


@pytest.fixture
def listed(api: Callable[[str, Any], Answer]) -> list[dict[str, Any]]:
    """The reports that the typical caller gets."""
    answered = api("ListReports", event("list_reports/typical"))
    assert answered.headers["Content-Type"] == "application/json"
    assert list(answered.body) == ["reports"]
    return answered.body["reports"]  # type: ignore[no-any-return]


def test_every_file_of_the_catalogue_is_a_report(listed: list[dict[str, Any]]) -> None:
    assert [report["id"] for report in listed] == sorted(path.stem for path in REPORTS.glob("*.yaml"))


def test_a_report_is_shown_with_what_a_caller_needs_and_not_with_how_it_is_made(listed: list[dict[str, Any]]) -> None:
    [flights] = [report for report in listed if report["id"] == "flights"]
    definition = yaml.safe_load((REPORTS / "flights.yaml").read_text("utf-8"))
    assert sorted(flights) == ["columns", "description", "formats", "id", "parameters", "sortable", "title"]
    assert (flights["title"], flights["description"]) == (definition["title"], definition["description"])
    assert flights["columns"] == [
        {"name": column["name"], "title": column["title"], "type": column["type"]} for column in definition["columns"]
    ]
    for report in listed:
        for parameter in report["parameters"]["properties"].values():
            assert not {"filter", "column", "expression"} & set(parameter)


def test_parameters_are_a_json_schema_that_a_request_can_be_checked_against(listed: list[dict[str, Any]]) -> None:
    [flights] = [report for report in listed if report["id"] == "flights"]
    Draft202012Validator.check_schema(flights["parameters"])
    rules = validator(flights["parameters"])
    assert rules.is_valid({"from": "2013-01-01", "to": "2013-12-31", "origin": "JFK", "minimum_delay": 15})
    for bad in ({}, {"from": "2013-01-01", "to": "x"}, {"from": "2013-01-01", "to": "2013-01-01", "x": 1}):
        assert not rules.is_valid(bad)


def test_formats_are_shown_with_their_options_and_defaults(listed: list[dict[str, Any]]) -> None:
    for report in listed:
        assert [each["name"] for each in report["formats"]] == list(FORMATS)
        for each in report["formats"]:
            Draft202012Validator.check_schema(each["options"])
            assert {name for name, option in each["options"]["properties"].items() if "default" not in option} == {
                "file_name"
            }


def test_a_report_that_is_not_valid_is_not_left_out_in_silence(
    tmp_path: Path, configure: Callable[[str], None], handler: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken.yaml").write_text("title: Broken\n", "utf-8")
    configure("ListReports")
    monkeypatch.setenv("REPORTS_FOLDER", str(tmp_path))
    with pytest.raises(InvalidDefinition, match=r"^broken\.yaml: /columns: is missing"):
        handler("ListReports")(event("list_reports/typical"))
