"""POST /exports: accepts an export, records it, and starts the state machine."""

import datetime
import hashlib
import json
import math
import os
from http import HTTPStatus
from typing import Any

import uuid_utils.compat as uuid
from botocore import exceptions
from botocore.exceptions import ClientError

from shared import attempts, catalogue, clock, contract, records
from shared.contract import Fault
from shared.exports import location, progress_of, represent
from shared.formats import FORMATS, resolve_options
from shared.function import Event, function
from shared.http import Answer, Caller, Problem, Request, serve
from shared.records import AlreadyRequested, Idempotency, Record
from shared.telemetry import follow, logger, metrics

_RETRY_SECONDS = "5"
_MOST_FAULTS = 100
_AWS_FAILS = (ClientError, exceptions.ConnectionError, exceptions.HTTPClientError)
# Codes of a throttled call, and of a throttled part of a DynamoDB transaction.
_THROTTLED = {
    "ProvisionedThroughputExceeded",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "ThrottlingError",
    "ThrottlingException",
    "TooManyRequestsException",
    "TransactionConflict",
}


@function(__file__)
def handler(event: Event) -> Any:
    """Answers 202 with the export, or a problem."""
    return serve({"POST /exports": request_export}, event)


def request_export(request: Request) -> Answer:
    """Checks everything, records the export, starts it; or answers with the export that the key already stands for."""
    caller = request.identify()
    body = _parse(request.event.get("body"), request.event.get("isBase64Encoded", False))
    idempotency = _idempotency(request.header("Idempotency-Key"), body)
    try:
        if idempotency and (first := records.find_first(caller.owner, idempotency, _epoch())):
            raise first
        _refuse_when_busy(caller)
        record = _record(caller, body)
        follow(record["export_id"])
        records.create(record, idempotency, _epoch())
    except AlreadyRequested as first:
        return _replay(request, caller, first, idempotency)
    except _AWS_FAILS as error:
        raise _busy(error) from error
    _start(record, idempotency)
    metrics.add_metric(name="ExportsRequested", unit="Count", value=1)
    logger.info("accepted", extra={"report": record["report"], "format": record["format"]})
    return _accepted(request, record)


def _parse(body: str | None, encoded: bool) -> dict[str, Any]:
    """The request body: ``{report, format, parameters, options}`` without a fault."""
    if encoded:
        raise _invalid([Fault(pointer="", detail="the body is binary", allowed="JSON text")])
    try:
        parsed = json.loads(body or "", parse_constant=_refuse_number, parse_float=_finite)
        json.dumps(parsed, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        detail = f"the body holds {error.object[error.start]!a}, half of a character"
        raise _invalid([Fault(pointer="", detail=detail, allowed="whole Unicode characters")]) from error
    except RecursionError as error:
        detail = "the body is nested too deeply"
        raise _invalid([Fault(pointer="", detail=detail, allowed="an object of objects")]) from error
    except ValueError as error:
        detail = f"the body is not JSON: {error}" if body else "the body is empty"
        raise _invalid([Fault(pointer="", detail=detail, allowed="a JSON object")]) from error
    if faults := _faults(parsed):
        raise _invalid(faults)
    return {"parameters": {}, "options": {}} | parsed  # type: ignore[no-any-return]


def _finite(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _refuse_number(text)


def _refuse_number(text: str) -> Any:
    """NaN and Infinity are no JSON (RFC 8259, section 6), and neither is a number that only they can hold."""
    raise ValueError(f"{text} is not a finite number")


def _faults(body: Any) -> list[Fault]:
    reports = catalogue.deployed()
    schema = {
        "type": "object",
        "additionalProperties": False,
        "required": ["report", "format"],
        "properties": {
            "report": {"enum": list(reports)},
            "format": {"enum": list(FORMATS)},
            "parameters": {"type": "object"},
            "options": {"type": "object"},
        },
    }
    found = contract.faults(schema, body)
    wrong = {fault["pointer"] for fault in found}
    if "" in wrong:
        return found
    if "/report" not in wrong and "/parameters" not in wrong:
        report_faults = reports[body["report"]].faults(body.get("parameters", {}))
        found += [Fault(**fault | {"pointer": "/parameters" + fault["pointer"]}) for fault in report_faults]
    if "/format" not in wrong and "/options" not in wrong:
        option_faults = contract.faults(FORMATS[body["format"]].options_schema, body.get("options", {}))
        found += [Fault(**fault | {"pointer": "/options" + fault["pointer"]}) for fault in option_faults]
    return found


def _invalid(faults: list[Fault]) -> Problem:
    count = "one fault" if len(faults) == 1 else f"{len(faults)} faults"
    count += f", the first {_MOST_FAULTS} are" if len(faults) > _MOST_FAULTS else ""
    faults = faults[:_MOST_FAULTS]
    detail = f"The request has {count}: " + "; ".join(contract.sentence(fault) for fault in faults)
    return Problem(HTTPStatus.BAD_REQUEST, "invalid-request", "The request is not valid", detail, errors=faults)


def _idempotency(key: str | None, body: dict[str, Any]) -> Idempotency | None:
    if key is None:
        return None
    if not 1 <= len(key) <= 255:
        fault = Fault(pointer="", detail=f"Idempotency-Key has {len(key)} characters", allowed="1 to 255 characters")
        raise _invalid([fault])
    return {"key": _sha256(key), "body_hash": _sha256(json.dumps(body, sort_keys=True, separators=(",", ":")))}


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _refuse_when_busy(caller: Caller) -> None:
    limit = int(os.environ["MAX_ACTIVE_PER_OWNER"])
    active = records.count_active(caller.owner)
    if active >= limit:
        detail = f"{active} exports are queued or running; {limit} may be at once. Wait until one has ended."
        headers = {"Retry-After": "30"}
        raise Problem(HTTPStatus.TOO_MANY_REQUESTS, "too-many-active", "Too many active exports", detail, headers)


def _record(caller: Caller, body: dict[str, Any]) -> Record:
    now = clock.now()
    export_id = str(uuid.uuid7())
    report, file_format = catalogue.report(body["report"]), FORMATS[body["format"]]
    expires = now + datetime.timedelta(days=int(os.environ["RETENTION_DAYS"]))
    return {
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
        "file_name": f"{report.id}-{caller.tenant}-{now:%Y%m%d}-{export_id[-8:]}.{file_format.extension}",
        "delete_after": records.delete_after(expires),
    }


def _start(record: Record, idempotency: Idempotency | None) -> None:
    """Starts the attempt. When that fails the request is taken back: nothing accepted is left behind unstarted."""
    try:
        attempts.start(record)
    except _AWS_FAILS as error:
        try:
            stays = not records.withdraw(record, idempotency)
        except _AWS_FAILS:  # then it stays QUEUED, for a repeated request or an operator to start
            logger.exception("not withdrawn")
            stays = False
        if not stays:
            raise _busy(error) from error


def _replay(request: Request, caller: Caller, first: AlreadyRequested, idempotency: Idempotency | None) -> Answer:
    if idempotency is None or first.body_hash != idempotency["body_hash"]:
        raise _key_reused("This Idempotency-Key stands for a request with another body. Use a new key.")
    follow(first.export_id)
    try:
        record = records.get(caller.owner, first.export_id)
        if record is None:
            raise _key_reused("The export that this Idempotency-Key stands for was removed. Use a new key.")
        # The first request may have died between its record and its start.
        if record["status"] == "QUEUED" and records.adopt(record):
            attempts.start(record)
    except _AWS_FAILS as error:
        raise _busy(error) from error
    return _accepted(request, record, {"Idempotent-Replayed": "true"})


def _key_reused(detail: str) -> Problem:
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "idempotency-key-reused", "The key was used before", detail)


def _accepted(request: Request, record: Record, headers: dict[str, str] | None = None) -> Answer:
    more = {"Location": location(request, record), "Retry-After": "1"}
    return Answer(HTTPStatus.ACCEPTED, represent(request, record, progress_of(record)), more | (headers or {}))


def _busy(error: Exception) -> Exception:
    """AWS throttles or does not answer: no fault of ours or the caller's, 503. Anything else stays what it is."""
    if isinstance(error, ClientError):
        reasons = error.response.get("CancellationReasons", [])
        codes = {error.response["Error"]["Code"], *(reason.get("Code") for reason in reasons)}
        if not codes & _THROTTLED:
            return error
    detail = "AWS is throttling or not answering. Nothing was accepted; send the request again."
    headers = {"Retry-After": _RETRY_SECONDS}
    return Problem(HTTPStatus.SERVICE_UNAVAILABLE, "busy", "The service is busy", detail, headers)


def _epoch() -> int:
    return int(clock.now().timestamp())
