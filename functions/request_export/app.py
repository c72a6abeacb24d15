"""POST /exports: accepts an export, records it, and starts the state machine."""

import hashlib
import json
import math
from typing import Any

import uuid_utils.compat as uuid

from shared.api import notification, problems
from shared.api.exports import accepted, delete_after, refuse_when_too_many
from shared.api.http import Answer, Problem, Request, invalid, serve
from shared.api.identity import Caller
from shared.api.request import schema as body_schema
from shared.api.throttling import busy, throttling_as_503
from shared.catalogue import choices
from shared.catalogue import reports as catalogue
from shared.catalogue.choices import Key
from shared.files import names
from shared.files.formats import FORMATS, option_faults, resolve_options
from shared.lambda_ import aws, clock, contract
from shared.lambda_.faults import Fault
from shared.lambda_.function import Event, function
from shared.lambda_.telemetry import logger, metrics, tag_logs
from shared.records import attempts, table
from shared.records.table import AlreadyRequested, Idempotency, Record

_MOST_DIGITS = 4000
"""Python converts at most 4,300 digits."""


@function(__file__)
def handler(event: Event) -> Any:
    """Answers 202 with the export, or a problem."""
    return serve({"POST /exports": request_export}, event)


@throttling_as_503("Nothing was accepted")
def request_export(request: Request) -> Answer:
    """Checks the request, records the export and starts it; or returns the export of an Idempotency-Key used before."""
    caller = request.identify()
    body = _parse(request.event.get("body"), request.event.get("isBase64Encoded", False), caller)
    idempotency = _idempotency(request.header("Idempotency-Key"), body)
    try:
        if idempotency and (first := table.find_first(caller.owner, idempotency, _epoch())):
            raise first
        refuse_when_too_many(caller)
        record = _record(caller, body)
        tag_logs(record["export_id"])
        table.create(record, idempotency, _epoch())
    except AlreadyRequested as first:
        return _replay(request, caller, first, idempotency)
    _start(record, idempotency)
    metrics.add_metric(name="ExportsRequested", unit="Count", value=1)
    logger.info("accepted", extra={"report": record["report"], "format": record["format"]})
    return accepted(request, record)


def _parse(body: str | None, encoded: bool, caller: Caller) -> dict[str, Any]:
    """The valid request body: ``{report, format, parameters, options}``, and ``columns`` and ``sort`` if chosen."""
    if encoded:
        raise invalid([Fault(pointer="", detail="the body is binary", allowed="JSON text")])
    try:
        parsed = json.loads(body or "", parse_constant=_refuse_number, parse_float=_finite, parse_int=_integer)
        json.dumps(parsed, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        detail = f"the body has the lone surrogate {error.object[error.start]!a}"
        raise invalid([Fault(pointer="", detail=detail, allowed="complete Unicode characters")]) from error
    except RecursionError as error:
        detail = "the body is nested too deeply"
        raise invalid(
            [Fault(pointer="", detail=detail, allowed="the fields that GET /openapi.json describes")]
        ) from error
    except ValueError as error:
        detail = f"the body is not JSON: {error}" if body else "the body is empty"
        raise invalid([Fault(pointer="", detail=detail, allowed="a JSON object")]) from error
    if faults := _faults(parsed, caller):
        raise invalid(faults)
    return {"parameters": {}, "options": {}} | parsed  # type: ignore[no-any-return]


def _finite(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _refuse_number(text)


def _integer(text: str) -> int:
    return int(text) if len(text) <= _MOST_DIGITS else _refuse_number(text)


def _refuse_number(text: str) -> Any:
    """Refuses NaN and Infinity, which are not JSON (RFC 8259, section 6), and numbers too large for any parameter."""
    raise ValueError(f"{text if len(text) <= 40 else text[:37] + '...'} is not a finite number of at most 4,000 digits")


def _faults(body: Any, caller: Caller) -> list[Fault]:
    reports = catalogue.deployed()
    faults = contract.faults(body_schema(reports), body)
    invalid_places = {fault["pointer"] for fault in faults}
    if "" in invalid_places:
        return faults
    if "/report" not in invalid_places and "/parameters" not in invalid_places:
        of_parameters = reports[body["report"]].faults(body.get("parameters", {}))
        faults += [Fault(**fault | {"pointer": "/parameters" + fault["pointer"]}) for fault in of_parameters]
    if "/report" not in invalid_places:
        valid = {name: body.get(name) for name in ("columns", "sort") if not _is_in(invalid_places, f"/{name}")}
        definition = reports[body["report"]].definition
        faults += choices.faults(definition, valid.get("columns"), valid.get("sort"))
    if "/format" not in invalid_places and "/options" not in invalid_places:
        options = body.get("options", {})
        of_options = option_faults(body["format"], options) or notification.faults(options, caller.email)
        faults += [Fault(**fault | {"pointer": "/options" + fault["pointer"]}) for fault in of_options]
    return faults


def _is_in(places: set[str], field: str) -> bool:
    """Whether one of the places is the field or lies within it."""
    return any(f"{place}/".startswith(f"{field}/") for place in places)


def _idempotency(key: str | None, body: dict[str, Any]) -> Idempotency | None:
    if key is None:
        return None
    if not 1 <= len(key) <= 255:
        fault = Fault(pointer="", detail=f"Idempotency-Key has {len(key)} characters", allowed="1 to 255 characters")
        raise invalid([fault])
    return {"key": _sha256(key), "body_hash": _sha256(json.dumps(body, sort_keys=True, separators=(",", ":")))}


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _record(caller: Caller, body: dict[str, Any]) -> Record:
    now = clock.now()
    export_id = str(uuid.uuid7())
    report, file_format = catalogue.report(body["report"]), FORMATS[body["format"]]
    sort = (
        [Key(column=key["column"], descending=key.get("descending", False)) for key in body["sort"]]
        if "sort" in body
        else None
    )
    record: Record = {
        "owner": caller.owner,
        "active_owner": caller.owner,
        "export_id": export_id,
        "report": report.id,
        "format": file_format.name,
        "parameters": json.dumps(report.resolve(body["parameters"])),
        "options": json.dumps(resolve_options(file_format.name, body["options"])),
        "status": "QUEUED",
        "attempt": 1,
        "created_at": clock.stamp(now),
        "queued_at": clock.stamp(now),
        "file_name": names.default(report.id, now, export_id, file_format.extension),
        "delete_after": delete_after(now),
    }
    if "file_name" in body["options"]:
        record["file_name_asked"] = body["options"]["file_name"]
        record["file_name"] = names.chosen(record["file_name_asked"], file_format.extension)
    if "columns" in body:
        record["columns"] = json.dumps(body["columns"])
    if sort is not None:
        record["sort"] = json.dumps(sort)
    if report.queries(sort):
        record["queries"] = True
    if caller.requested_by:
        record["requested_by"] = caller.requested_by
    if caller.email and notification.is_wanted(body["options"]):
        record["notify"] = caller.email
    record["record_version"] = table.version(record)
    return record


def _start(record: Record, idempotency: Idempotency | None) -> None:
    """Starts the attempt. If that fails, withdraws the record, so that no accepted export stays unstarted."""
    try:
        attempts.start(record)
    except aws.FAILS:
        try:
            withdrawn = table.withdraw(record, idempotency)
        except aws.FAILS as error:  # the record most likely stays QUEUED, and ReconcileExports starts it
            logger.exception("not withdrawn")
            raise busy(
                "AWS throttled or did not answer. The outcome is unknown. Check GET /exports before you retry."
            ) from error
        if withdrawn:
            raise


def _replay(request: Request, caller: Caller, first: AlreadyRequested, idempotency: Idempotency | None) -> Answer:
    if idempotency is None or first.body_hash != idempotency["body_hash"]:
        raise _key_reused("This Idempotency-Key was used with a different body. Use a new key.")
    tag_logs(first.export_id)
    record = table.get(caller.owner, first.export_id)
    if record is None:
        raise _key_reused("The export of this Idempotency-Key was removed. Use a new key.")
    # The first request may have failed after it wrote the record and before it started the execution.
    if record["status"] == "QUEUED":
        if table.adopt(record):
            attempts.start(record)
        else:
            record = table.get(caller.owner, first.export_id)
    if record is None:
        raise busy("The first request with this Idempotency-Key was withdrawn. Send the request again.")
    return accepted(request, record, {"Idempotent-Replayed": "true"})


def _key_reused(detail: str) -> Problem:
    return Problem(problems.IDEMPOTENCY_KEY_REUSED, detail)


def _epoch() -> int:
    return int(clock.now().timestamp())
