"""The frame of every function: what its logs and metrics hold."""

import io
import json
from collections.abc import Callable
from typing import Any

import polars as pl
import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from shared.errors import EngineFailed, ServiceUnavailable
from shared.lambda_ import telemetry
from shared.lambda_.function import function
from tests.unit.support import EXPORT_ID, OWNER, ROOT, Answer, Calls, Cloud, Context, event

Api = Callable[[str, Any], Answer]
Assemble = Callable[[], Any]
Logged = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> Logged:
    """The lines that were logged since the last look."""
    stream = io.StringIO()
    monkeypatch.setattr(telemetry.logger.registered_handler, "stream", stream)

    def logged() -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in stream.getvalue().splitlines()]
        stream.seek(0)
        stream.truncate()
        return lines

    return logged


def test_a_line_of_the_log_carries_the_service_and_its_own_export_but_neither_token_nor_body(
    cloud: Cloud, api: Api, logged: Logged
) -> None:
    export_id = api("RequestExport", event("request_export/typical")).body["id"]
    [line] = logged()
    assert (line["message"], line["correlation_id"]) == ("accepted", export_id)
    assert (line["service"], line["report"]) == ("report-exports", "flights")
    for secret in ("Bearer", "dana@example.com", "2013-01-01"):
        assert secret not in json.dumps(line)
    anonymous = event("list_reports/typical")
    del anonymous["requestContext"]["authorizer"]
    api("ListReports", anonymous)
    [line] = logged()
    assert line["message"] == "refused"
    assert "correlation_id" not in line


@pytest.fixture
def assemble(configure: Callable[[str], None], handler: Callable[[str], Any]) -> Assemble:
    """A task."""
    configure("AssembleFile")
    return lambda: handler("AssembleFile")(event("assemble_file/typical"))


def test_a_task_carries_its_export_from_its_first_line(cloud: Cloud, assemble: Assemble) -> None:
    with pytest.raises(Exception, match="is not RUNNING"):
        assemble()
    assert telemetry.logger.get_correlation_id() == EXPORT_ID


@pytest.mark.parametrize(
    ("failure", "named"),
    [
        ("SlowDown", ServiceUnavailable),
        ("ThrottlingException", ServiceUnavailable),
        (ReadTimeoutError(endpoint_url="https://dynamodb"), ServiceUnavailable),
        ("ValidationException", ClientError),
        ("AccessDeniedException", ClientError),
    ],
)
def test_what_aws_refuses_for_now_has_a_name_that_the_machine_retries(
    failure: str | Exception, named: type[Exception], calls: Calls, assemble: Assemble
) -> None:
    calls.fail("GetItem", failure)
    with pytest.raises(named):
        assemble()


def framed(error: BaseException | None) -> None:
    """Calls a function whose work raises this; none: what polars raises when it panics."""

    def work(_: Any) -> None:
        if error:
            raise error
        pl.select(pl.lit(2**62).cast(pl.Datetime("ms")).cast(pl.String))

    frame = function(str(ROOT / "functions" / "assemble_file" / "app.py"))
    frame(work)(event("assemble_file/typical"), Context())


def test_a_panic_of_the_engine_is_an_error_with_a_name() -> None:
    # A real one of polars: it is no Exception, and would end the process as if its memory were full.
    with pytest.raises(EngineFailed, match="a library panicked: invalid or out-of-range datetime"):
        framed(None)


@pytest.mark.parametrize("ended", [SystemExit(1), KeyboardInterrupt()], ids=repr)
def test_what_is_to_end_the_process_ends_it(ended: BaseException) -> None:
    with pytest.raises(type(ended)):
        framed(ended)


def test_an_accepted_export_is_counted_once(cloud: Cloud, api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    api("RequestExport", event("request_export/typical"))
    api("RequestExport", event("request_export/typical"))  # a replay
    api("RequestExport", event("request_export/bad_body"))
    counted = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "CloudWatchMetrics" in line]
    assert [each["ExportsRequested"] for each in counted] == [[1.0]]
    [metric] = counted[0]["_aws"]["CloudWatchMetrics"]
    assert (metric["Namespace"], metric["Dimensions"]) == ("ReportExports", [["service"]])
    assert OWNER not in json.dumps(counted)
