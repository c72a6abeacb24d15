"""Counts what it costs to watch exports: the calls of AWS that a page of web/ causes while it polls.

:func:`measure` runs web/poll.js in Node with a clock of its own, which gives the times of the page's requests. Then
``python -m benchmarks.polling`` (:func:`main`) sends each request to the real handler on moto, in a process that stays
warm as a Lambda function does, and counts the calls that the AWS SDK makes.

API Gateway invokes Authorize at most once in :data:`KEPT_SECONDS` for a user; these invocations are added. The page is
at the API's own address, so the browser sends no preflight.
"""

from __future__ import annotations

import importlib
import json
import math
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

ROOT = Path(__file__).parents[1]
Schedule = list[tuple[float, str]]
"""When a page calls the API, in seconds: ``load`` is all that it shows first, ``export`` one read of the export."""

RETRY_AFTER = 1
"""Seconds that the API asks of a client that reads an active export."""
KEPT_SECONDS = 300
"""How long API Gateway keeps the answer of Authorize for a token: ReauthorizeEvery in template.yaml."""
TABS, VISIBLE = 200, 20
CASES = {
    "one page, one minute, 20 parts": (60, 1, 0, 20),
    "one page, one minute, 10,000 parts": (60, 1, 0, 10_000),
    f"{TABS} tabs, {VISIBLE} visible, one hour, 20 parts": (3600, VISIBLE, TABS - VISIBLE, 20),
}
"""By title: seconds, visible pages and hidden ones with one active export each, and its parts."""
LIST_TITLE = "GET /exports once: 20 exports, 5 of them active"
HALF_UNITS = "half read units"
_LOAD = ("list_reports/typical", "read_exports/limits", "read_exports/list")
_RUNNING = "2026-11-23T09:12:32.100Z"
_PLAN = "3fa94c1d07be5526"


def measure(say: Callable[[str], None]) -> dict[str, dict[str, int]]:
    """What is counted in each case, by title. Each has a process of its own, which begins cold.

    Raises:
        RuntimeError: Node or the project's environment is missing, or counting failed.
    """
    python = ROOT / ".venv" / "bin" / "python"
    if not python.exists():
        raise RuntimeError(".venv is missing. Run make bench, which sets everything up.")
    counts = {}
    for title in (*CASES, LIST_TITLE):
        done = subprocess.run([python, "-m", "benchmarks.polling", title], cwd=ROOT, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"counting the calls failed:\n{done.stderr[-3000:]}")
        counts[title] = json.loads(done.stdout)
        say(f"{title}: {counts[title]}")
    return counts


def schedule(seconds: int, *, hidden: bool = False) -> Schedule:
    """When a page with one active export calls the API.

    Raises:
        RuntimeError: there is no Node, or the page's code failed in it.
    """
    node = shutil.which("node")
    if not node:
        raise RuntimeError("Node is missing: it runs web/poll.js.")
    words = [str(Path(__file__).with_name("schedule.mjs")), str(seconds), str(RETRY_AFTER)]
    done = subprocess.run([node, *words, "hidden" if hidden else "shown"], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"web/poll.js failed:\n{done.stderr[-3000:]}")
    return [(at, what) for at, what in json.loads(done.stdout)]


def main(title: str) -> None:
    """Prints what is counted in one case, as JSON: see the module docstring."""
    counts = count_list(20, 5) if title == LIST_TITLE else count(*CASES[title])
    print(json.dumps(counts))


def count(seconds: int, visible: int, hidden: int, parts: int) -> Counter[str]:
    """The requests of pages, and the calls that they cause.

    Each export is planned when its page is opened. Its parts are done one after the other, the last at the end.

    Returns:
        ``api`` requests, ``lambda`` invocations, the SDK's calls by operation, and DynamoDB's :data:`HALF_UNITS`.
    """
    shown, unseen = schedule(seconds), schedule(seconds, hidden=True)
    with _service() as service:
        for page in range(visible):
            service.run_export(page, parts)
        counts = Counter({"api": hidden * len(unseen)})
        done = 0
        for at, what in shown:
            while done < int(parts * at / seconds):
                for page in range(visible):
                    service.finish_part(page, done)
                done += 1
            for page in range(visible):
                counts += service.load(page) if what == "load" else service.show(page)
    counts["lambda"] = counts["api"] + visible * _authorized(at for at, _ in shown)
    return counts


def count_list(exports: int, active: int) -> Counter[str]:
    """The calls of a list of one user's exports. Some are active; of the others every second has failed."""
    with _service() as service:
        for number in range(exports):
            service.run_export(0, 20, number, "RUNNING" if number < active else ("FAILED", "SUCCEEDED")[number % 2])
        counts = service.call("read_exports/list", 0)
    return counts + Counter({"lambda": 1})


def _authorized(times: Iterable[float]) -> int:
    """How often API Gateway asks Authorize for a token that is used at these times."""
    asked: list[float] = []
    for at in times:
        if not asked or at >= asked[-1] + KEPT_SECONDS:
            asked.append(at)
    return len(asked)


class _Service:
    """The API's functions, warm, on moto."""

    def __init__(self) -> None:
        self.made: Counter[str] = Counter()
        self._apps = {name: importlib.import_module(f"{name}.app") for name in ("read_exports", "list_reports")}

    def note(self, model: Any, parsed: dict[str, Any], **_: Any) -> None:
        """Counts a call, and its half read units: a consistent read of 4 KB takes a whole one ("DynamoDB read")."""
        self.made[model.name] += 1
        if model.service_model.service_name == "dynamodb":
            items = json.dumps([parsed.get("Item"), parsed.get("Items")])
            self.made[HALF_UNITS] += math.ceil(len(items) / 4096) * (2 if model.name == "GetItem" else 1)

    def run_export(self, page: int, parts: int, number: int = 0, status: str = "RUNNING") -> None:
        """Puts an export of the page's user with its plan into the account; no part is done."""
        from shared.files.work import Work
        from shared.records import table

        export_id = _export(page, number)
        record: Any = {
            "owner": f"UA#user-{page}",
            "export_id": export_id,
            "report": "flights",
            "format": "csv",
            "parameters": "{}",
            "options": "{}",
            "status": status,
            "attempt": 1,
            "created_at": _RUNNING,
            "queued_at": _RUNNING,
            "started_at": _RUNNING,
            "file_name": "flights.csv",
            "delete_after": 1798621951,
        }
        if status == "RUNNING":
            record["active_owner"] = record["owner"]
        if status == "SUCCEEDED":
            record |= {"parts_total": parts, "rows": 1, "bytes": 1, "crc32": "0badcafe", "file_key": "exports/file"}
            record |= {"expires_at": "2999-01-01T00:00:00.000Z"}
        if status == "FAILED":
            record["failure"] = {"state": "PlanParts", "type": "Error", "error": "{}", "part": ""}
        table.create(record, None, 0)
        plan: Any = {"plan": _PLAN, "parts_total": parts}
        Work(export_id, _PLAN).write_plan(plan, [])

    def finish_part(self, page: int, part: int) -> None:
        """Writes a part and its receipt."""
        from shared.files import work
        from shared.lambda_ import aws

        files = work.Work(_export(page, 0), _PLAN)
        aws.s3().put_object(Bucket=work.bucket(), Key=files.part_key(part), Body=b"1")
        receipt: Any = {"part": part}
        files.write_receipt(receipt)

    def load(self, page: int) -> Counter[str]:
        """What a page asks for first."""
        counts: Counter[str] = Counter()
        for event in _LOAD:
            counts += self.call(event, page)
        return counts

    def show(self, page: int) -> Counter[str]:
        """One read of the page's export."""
        return self.call("read_exports/typical", page, {"id": _export(page, 0)})

    def call(self, name: str, page: int, path: dict[str, str] | None = None) -> Counter[str]:
        """Sends a user's request to its function; the request, and the calls of AWS that it caused."""
        event = json.loads((ROOT / "events" / f"{name}.json").read_text())
        event["requestContext"]["authorizer"]["user"] = f"user-{page}"
        event["queryStringParameters"] = None
        event["pathParameters"] = path or event.get("pathParameters")
        self.made.clear()
        answer = self._apps[name.split("/")[0]].handler(event, _CONTEXT)
        assert answer["statusCode"] == 200, answer
        return self.made + Counter({"api": 1})


@contextmanager
def _service() -> Iterator[_Service]:
    from moto import mock_aws

    from checks import repository  # which finds functions/

    variables = json.loads((ROOT / "events" / "environment.json").read_text())
    os.environ |= variables["ListReports"] | variables["ReadExports"] | {"REPORTS_FOLDER": str(ROOT / "reports")}
    os.environ |= {"AWS_DEFAULT_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}
    os.environ |= {"POWERTOOLS_TRACE_DISABLED": "1", "POWERTOOLS_SERVICE_NAME": "x", "POWERTOOLS_LOG_LEVEL": "ERROR"}
    import boto3

    from shared.lambda_ import aws

    with mock_aws():
        boto3.setup_default_session()
        session: Any = boto3.DEFAULT_SESSION
        service = _Service()
        session.events.register("after-call", service.note)
        for client in (aws.dynamodb, aws.s3, aws.prompt_s3):
            client.cache_clear()
        described = repository.read("template.yaml").data["Resources"]["ExportsTable"]["Properties"]
        names = ("BillingMode", "AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes")
        aws.dynamodb().create_table(TableName=os.environ["EXPORTS_TABLE"], **{name: described[name] for name in names})
        aws.s3().create_bucket(Bucket=os.environ["EXPORTS_BUCKET"])
        yield service


def _export(page: int, number: int) -> str:
    return f"01a2{page:04x}-{number:04x}-7000-8000-000000000000"


_CONTEXT = SimpleNamespace(
    function_name="function", memory_limit_in_mb=512, invoked_function_arn="arn", aws_request_id="request"
)


if __name__ == "__main__":
    main(sys.argv[1])
