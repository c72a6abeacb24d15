"""What went wrong, as a person reads it."""

import inspect
import json
from typing import Any

import pytest

from shared import errors
from shared.api.explanations import explain
from shared.errors import ExportError
from shared.records.table import Failure

NAMES = [name for name, each in inspect.getmembers(errors, inspect.isclass) if issubclass(each, ExportError)]


def failure(name: str, cause: Any = None, **more: str) -> Failure:
    """A failure as the state machine records it: the Catch's output as text."""
    caught = {"Error": name} | ({} if cause is None else {"Cause": cause})
    return {"state": "GeneratePart", "type": name, "error": json.dumps(caught), "part": ""} | more  # type: ignore[return-value]


def function_cause(message: str, name: str = "RowsMissing") -> str:
    """What Lambda gives as Cause when a Python function raised."""
    return json.dumps({"errorMessage": message, "errorType": name, "requestId": "1", "stackTrace": ["  File …\n"]})


def test_an_error_of_ours_has_a_title_a_detail_and_a_remedy() -> None:
    """And never the stack trace."""
    message = "part 7 read 99 rows, but its plan has 100"
    assert explain(failure("RowsMissing", function_cause(message), part="7")) == {
        "type": "RowsMissing",
        "title": "The file would be incomplete",
        "detail": message,
        "state": "GeneratePart",
        "part": 7,
        "retryable": True,
        "remedy": "Retry. The new attempt makes only the missing parts.",
    }


def test_the_remedy_names_the_file_of_the_report_where_the_report_is_known() -> None:
    mismatch = failure("ColumnMismatch", function_cause("…"))
    assert explain(mismatch, "sales")["remedy"] == "Correct the column in reports/sales.yaml, or the dataset."
    assert explain(mismatch)["remedy"] == "Correct the column in reports/<report>.yaml, or the dataset."


@pytest.mark.parametrize("name", NAMES)
def test_every_error_of_ours_says_what_to_do_and_those_of_a_report_or_its_data_have_titles(name: str) -> None:
    explained = explain(failure(name, function_cause("…", name)))
    assert explained["remedy"]
    assert explained["title"] != "An AWS service failed"
    unexpected = explained["title"] == "An unexpected error occurred"
    assert unexpected is (name in {"ExportError", "InvalidEvent", "NotRunning"}), (
        f"explain {name} in functions/shared/api/explanations.py and in web/texts-de.js"
    )


@pytest.mark.parametrize(
    ("name", "title", "retryable"),
    [
        ("States.Timeout", "A step took too long", True),
        ("Sandbox.Timedout", "A function took too long", True),
        ("Runtime.ExitError", "A function ran out of memory or was killed", True),
        ("Runtime.OutOfMemory", "A function ran out of memory", True),
        ("MemoryError", "A function ran out of memory", True),
        ("Lambda.TooManyRequestsException", "The account has no free Lambda concurrency", True),
        ("Lambda.ServiceException", "An AWS service failed", True),
        ("DynamoDB.InternalServerErrorException", "An AWS service failed", True),
        ("S3.S3Exception", "An AWS service failed", True),
        ("KeyError", "An unexpected error occurred", False),
        ("Runtime.ImportModuleError", "An unexpected error occurred", False),
    ],
)
def test_an_error_is_told_from_the_name_that_was_caught(name: str, title: str, retryable: bool) -> None:
    explained = explain(failure(name, "text"))
    assert (explained["type"], explained["title"], explained["retryable"]) == (name, title, retryable)


@pytest.mark.parametrize(
    ("cause", "detail"),
    [
        (function_cause("the message"), "the message"),
        (function_cause(""), ""),
        ("Rate Exceeded. (Service: Lambda, Status Code: 429)", "Rate Exceeded. (Service: Lambda, Status Code: 429)"),
        ('{"code": 5}', '{"code": 5}'),
        ("[1, 2]", "[1, 2]"),
        ("404", "404"),
        ("null", "null"),
        ("", ""),
        (None, ""),
    ],
)
def test_the_detail_is_the_message_wherever_it_stands(cause: str | None, detail: str) -> None:
    assert explain(failure("X", cause))["detail"] == detail


@pytest.mark.parametrize(("part", "shown"), [("", None), ("0", 0), ("12", 12)])
def test_the_part_is_a_number_or_none(part: str, shown: int | None) -> None:
    assert explain(failure("X", part=part))["part"] == shown
