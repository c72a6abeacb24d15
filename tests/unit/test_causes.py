"""What a function raises fits into the cause of a failed execution, whatever it was."""

import json
import re
import traceback
from collections.abc import Callable
from typing import Any

import pytest

from shared.errors import ColumnMismatch
from shared.lambda_.causes import bounded

LIMIT = 32_768
"""Characters of an execution's cause (Step Functions API reference, "ExecutionFailedEventDetails")."""


def cause(failing: Callable[[], Any]) -> tuple[dict[str, str], str]:
    """What Lambda's runtime client answers for what a handler raises, and the cause that the Fail state makes of it."""
    try:
        bounded(lambda event, context: failing())({}, None)
    except Exception as error:
        frames = traceback.format_list(traceback.extract_tb(error.__traceback__))
        answer = {"errorMessage": str(error), "errorType": type(error).__name__, "requestId": "0" * 36}
        caught = {"Error": type(error).__name__, "Cause": json.dumps(answer | {"stackTrace": frames})}
        return answer, json.dumps(caught)
    raise AssertionError("it did not fail")


def raising(error: Exception) -> Callable[[], Any]:
    def fail() -> None:
        raise error

    return fail


@pytest.mark.parametrize("kind", [ColumnMismatch, KeyError])
def test_a_long_message_is_cut_to_what_a_failed_execution_takes_and_is_whole_in_the_log(
    kind: type[Exception], caplog: pytest.LogCaptureFixture
) -> None:
    for character in ("x", '"', "\\", "\n", "é", "😀", "\0"):
        answer, whole = cause(raising(kind(character * 100_000 + "the end")))
        assert len(whole) <= LIMIT
        assert answer["errorType"] == kind.__name__
        assert re.fullmatch(r".{1500}…", answer["errorMessage"], re.DOTALL)
        assert "the end" in caplog.text
        caplog.clear()


def test_a_deep_recursion_leaves_its_innermost_frames() -> None:
    def deeper(depth: int) -> int:
        return and_deeper(depth - 1) if depth else int("no number")

    def and_deeper(depth: int) -> int:
        return deeper(depth - 1)

    answer, whole = cause(lambda: deeper(800))
    assert len(whole) <= LIMIT
    assert answer["errorType"] == "ValueError"
    assert 15 < whole.count("deeper\\\\n") <= 20


def test_a_short_error_is_raised_as_it_is() -> None:
    error = ColumnMismatch("x" * 1_500)
    with pytest.raises(ColumnMismatch) as raised:
        bounded(lambda: raising(error)())()
    assert raised.value is error
