"""What holds at every moment, whatever goes wrong and in whatever order things happen."""

from __future__ import annotations

import datetime
import json
import zlib
from collections import Counter
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

from boto3.dynamodb.types import TypeDeserializer
from moto.events.models import EventPattern

from shared.errors import ExportError
from shared.lambda_ import clock
from tests.stateful.process import Killed, Process
from tests.support.edges import definition, flat

if TYPE_CHECKING:
    from tests.stateful.world import Invocation, World

# How a record may change: (status, status after), and how the attempt does. None is no record.
TRANSITIONS = {
    (None, "QUEUED"): "first",
    ("QUEUED", "RUNNING"): "same",
    ("QUEUED", "FAILED"): "same",
    ("QUEUED", "CANCELLED"): "same",
    ("QUEUED", None): "withdrawn",
    ("RUNNING", "SUCCEEDED"): "same",
    ("RUNNING", "FAILED"): "same",
    ("RUNNING", "CANCELLED"): "same",
    ("FAILED", "QUEUED"): "next",
    ("CANCELLED", "QUEUED"): "next",
    ("SUCCEEDED", None): "removed",
    ("FAILED", None): "removed",
    ("CANCELLED", None): "removed",
}
# What may be written while the status stays.
REWRITTEN = {
    "QUEUED": {"adopted"},
    "RUNNING": {"failure", "failure_state", "failure_type", "failure_part"},
    "SUCCEEDED": {"expires_at", "delete_after"},  # ReconcileExports takes them from the object, which is a bit later
    "FAILED": {"letter", "letter_claimed_at", "active_owner"},
    "CANCELLED": {"active_owner"},
}
NEVER_REWRITTEN = ("report", "format", "parameters", "options", "created_at", "file_name")
ENDED = ("SUCCEEDED", "FAILED", "CANCELLED")
ACTIVE = ("QUEUED", "RUNNING")
DAY = datetime.timedelta(days=1)
WORKERS = {name for name, state in flat(definition()).items() if "lambda:invoke" in state.get("Resource", "")}
"""The functions that the workflow calls: each has the name of its state."""

Attempt = tuple[str, int]


class Laws:
    """Looks at each change, answer and letter, and keeps what later ones may not contradict."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.announced: Counter[str] = Counter()
        self.reached: dict[Attempt, list[str]] = {}
        """Every status of an attempt, in order."""
        self.overtaken: set[str] = set()
        """Exports that were removed before their attempt was settled, and attempts (``id/attempt``) retried before."""
        self.withdrawn: set[str] = set()
        self.promised: set[str] = set()
        self.removing: set[str] = set()
        """Exports that a DELETE has found SUCCEEDED: from then on their file may be gone."""
        self.excused: set[str] = set()
        """Attempts of which a sender of letters died or was not answered."""
        self.all_excused = False
        self.abandoned: set[Attempt] = set()
        """Attempts of which an AssembleFile died or met a fault."""
        self.keys: dict[tuple[str, str], list[tuple[str, datetime.datetime]]] = {}
        self.seen: dict[str, tuple[int, int, int]] = {}
        self.twins = False
        """Whether one attempt may have two executions, by somebody's hand: a later one takes over the record."""
        self._letters = 0

    # The table

    def changed(self, old_item: dict[str, Any] | None, new_item: dict[str, Any] | None) -> None:
        """Each change of the table."""
        old, new = plain(old_item), plain(new_item)
        some = new or old
        assert some is not None
        if self.world.calling:
            self.world.calling.changes.append((old, new))
        if some["export_id"].startswith("key#"):
            return
        if old and new:
            assert all(old[name] == new[name] for name in NEVER_REWRITTEN)
        step = (old["status"] if old else None, new["status"] if new else None)
        if step[0] == step[1]:
            self._rewritten(old, new)  # type: ignore[arg-type]
        else:
            assert step in TRANSITIONS, f"{some['export_id']}: {step[0]} became {step[1]}"
            self._stepped(TRANSITIONS[step], old, new)
        if new:
            wanted = [new["owner"]] if new["status"] in ACTIVE else ["settling", None]
            wanted = [None] if new["status"] == "SUCCEEDED" else wanted
            assert new.get("active_owner") in wanted, f"active_owner {new.get('active_owner')} of {new['status']}"
        self._announce(old_item, new_item, step)

    def _rewritten(self, old: dict[str, Any], new: dict[str, Any]) -> None:
        assert old["attempt"] == new["attempt"]
        names = {name for name in old | new if old.get(name) != new.get(name)}
        taken_over = {"execution_arn"} if self.twins and new["status"] == "RUNNING" else set()
        assert names <= REWRITTEN[new["status"]] | taken_over, f"{names} of {new['status']} changed"
        assert "failure" not in names or "failure" not in old, "the first reason stays"

    def _stepped(self, how: str, old: dict[str, Any] | None, new: dict[str, Any] | None) -> None:
        if new is None:
            assert old is not None
            if how == "withdrawn":
                assert old["attempt"] == 1
                self.withdrawn.add(old["export_id"])
                self._keep_promises()
            if "letter" in old or old.get("active_owner"):
                self.overtaken.add(old["export_id"])
            return
        before = old["attempt"] if old else 0
        assert new["attempt"] == (before + 1 if how in ("first", "next") else before)
        if how == "next" and old and "letter" in old:
            self.overtaken.add(f"{old['export_id']}/{old['attempt']}")
        statuses = self.reached.setdefault((new["export_id"], new["attempt"]), [])
        assert new["status"] not in statuses, f"{new['status']} twice"
        statuses.append(new["status"])
        if new["status"] == "QUEUED":
            left = {"letter", "letter_claimed_at", "started_at", "finished_at", "detail_type"} & set(new)
            left |= {name for name in new if name.startswith("failure")}
            assert not left, f"{left} of the attempt before"
        if new["status"] in ENDED:
            assert new["finished_at"]
            assert new["detail_type"] == f"Export {new['status'].capitalize()}"
            reason = new["failure"] if new["status"] == "FAILED" else {}
            assert all(new[f"failure_{name}"] == reason.get(name, "") for name in ("state", "type", "part"))
        assert ("failure" in new) >= (new["status"] == "FAILED")
        if new["status"] == "FAILED":
            assert new["letter"] == "due"
        if new["status"] == "RUNNING":
            assert new["execution_arn"].endswith(f"{new['export_id']}-{new['attempt']}")
        if new["status"] == "SUCCEEDED":
            assert f"/{new['export_id']}/{new['attempt']}/" in new["file_key"]
            self.file_is_right(new)

    def _announce(self, old: Any, new: Any, step: tuple[str | None, str | None]) -> None:
        kind = "INSERT" if old is None else "REMOVE" if new is None else "MODIFY"
        images = {"OldImage": old, "NewImage": new}
        change = {"eventName": kind, "dynamodb": {name: image for name, image in images.items() if image}}
        announced = any(pattern.matches_event(change) for pattern in _pipe())
        assert announced == (step[0] != step[1] and step[1] in ENDED)
        if announced:
            key = f"{new['export_id']['S']}/{new['attempt']['N']}/{new['status']['S']}"
            self.announced[key] += 1
            assert self.announced[key] == 1, f"{key} is announced again"

    def file_is_right(self, record: dict[str, Any]) -> None:
        """The file that a SUCCEEDED record names is there, to the byte."""
        stored = self.world.memory.objects.get(record["file_key"])
        assert stored is not None, f"{record['export_id']} is SUCCEEDED without a file"
        # It may be removed: by a DELETE that was killed, or goes on, after it met a retry.
        parts = self.world.memory.written[f"work/{record['export_id']}/{record['plan']}/parts.json"]
        version = json.loads(parts)[0]["sources"][0]["etag"]
        right = self.world.dataset.file(version)
        assert stored.body == right
        assert (record["bytes"], record["crc32"]) == (len(right), f"{zlib.crc32(right):08x}")
        assert record["rows"] == right.count(b"\n") - 1
        assert clock.parse(record["expires_at"]) <= stored.modified + 7 * DAY + datetime.timedelta(seconds=1)

    def hold(self) -> None:
        """After every step."""
        for record in self.records():
            if record["status"] == "SUCCEEDED" and record["export_id"] not in self.removing:
                self.file_is_right(record)
        for letter in map(json.loads, self.world.memory.letters[self._letters :]):
            attempt = (letter["export_id"], letter["attempt"])
            assert "FAILED" in self.reached[attempt], f"a letter for {attempt}, which has not failed"
        self._letters = len(self.world.memory.letters)

    def records(self) -> list[dict[str, Any]]:
        """All exports."""
        items = [plain(item) for (_, name), item in self.world.memory.table.items() if not name.startswith("key#")]
        return [item for item in items if item]

    # The API

    def asked(self, event: dict[str, Any], owner: str) -> Callable[[Process], None]:
        """A request begins; what is to be called with its end."""
        method, resource = event["httpMethod"], event["resource"]
        export_id = (event["pathParameters"] or {}).get("id", "")

        def answered(process: Process) -> None:
            if isinstance(process.error, Killed) or (process.excused and (process.error or method == "GET")):
                return
            assert process.error is None, f"{method} {resource} raised {process.error!r}"
            status = process.result["statusCode"]
            body = json.loads(process.result["body"] or "null")
            self.world.tell(f"{method} {resource} {export_id} answers {status}")
            if method == "GET":
                self._read(resource, owner, export_id, status, body)
            elif resource == "/exports":
                assert status in (202, 422, 429, 503), body
                if status == 202:
                    self._accepted(event, owner, body["id"])
            elif method == "DELETE":
                assert status in (202, 204, 404, 503) or (status == 409 and event["queryStringParameters"]), body
                if status == 202:
                    assert "CANCELLED" in self.reached[(export_id, body["attempt"])]
                if status == 204:
                    assert (owner, export_id) not in self.world.memory.table
            else:
                assert status in (202, 404, 409, 429, 503), body
                if status == 202:
                    assert "QUEUED" in self.reached[(export_id, body["attempt"])]

        return answered

    def _accepted(self, event: dict[str, Any], owner: str, export_id: str) -> None:
        self.promised.add(export_id)
        self._keep_promises()
        if key := event["headers"].get("Idempotency-Key"):
            made = self.keys.setdefault((owner, key), [])
            assert all(
                export_id == each or export_id in self.withdrawn or self.world.time - since >= DAY
                for each, since in made[-1:]
            ), "one key, two exports"
            if export_id not in [each for each, _ in made]:
                made.append((export_id, self.world.time))

    def _keep_promises(self) -> None:
        broken = self.promised & self.withdrawn
        assert not broken, f"{broken} were accepted with 202, and taken back"

    def delete_has_read(self, item: dict[str, Any] | None) -> None:
        """A DELETE looked at an export."""
        if item and item["status"]["S"] == "SUCCEEDED":
            self.removing.add(item["export_id"]["S"])

    def _read(self, resource: str, owner: str, export_id: str, status: int, body: Any) -> None:
        if resource == "/limits":
            assert status == 200
            return
        own = {record["export_id"]: record for record in self.records() if record["owner"] == owner}
        if resource == "/exports":
            assert [each["id"] for each in body["exports"]] == sorted(own, reverse=True)[:20]
            return
        if export_id not in own:
            assert status == 404, "another's export, or none"
            return
        record = own[export_id]
        expired = record["status"] == "SUCCEEDED" and clock.parse(record["expires_at"]) <= self.world.time
        if resource.endswith("/file"):
            assert status == (410 if expired else 200 if record["status"] == "SUCCEEDED" else 409), body
            assert status != 200 or record["file_key"] in body["url"]
            return
        assert status == 200, body
        assert (body["status"], body["attempt"]) == ("EXPIRED" if expired else record["status"], record["attempt"])
        assert (body["error"] is not None) == (record["status"] == "FAILED")
        self._progressed(export_id, body)

    def _progressed(self, export_id: str, body: dict[str, Any]) -> None:
        """Neither status nor progress go back, unless a new plan was made or DELETE has removed the old one."""
        order = ACTIVE.index(body["status"]) if body["status"] in ACTIVE else len(ACTIVE)
        plans = sum(
            key.endswith("/plan.json") for key in self.world.memory.objects if key.startswith(f"work/{export_id}/")
        )
        done = body["progress"]["parts_done"]
        now = (body["attempt"], order, done)
        attempt, status, parts = self.seen.get(export_id, (0, 0, 0))
        assert now[:2] >= (attempt, status), f"{now} after {self.seen[export_id]}"
        assert plans != 1 or done >= parts, f"{now} after {self.seen[export_id]}"
        self.seen[export_id] = now
        total = body["progress"]["parts_total"]
        assert total is None or done <= total
        assert body["status"] != "SUCCEEDED" or done == total

    # Functions

    def invocation_ended(self, invocation: Invocation) -> None:
        """A function that no fault has met does not raise, but for what is wrong with the export itself."""
        error = invocation.process.error
        if invocation.faulted:
            if invocation.function == "AssembleFile":
                self.abandoned.add((invocation.event["export_id"], invocation.event["attempt"]))
            if invocation.function == "ReconcileExports":
                self.all_excused = True
        else:
            assert error is None or (isinstance(error, ExportError) and invocation.function in WORKERS), (
                f"{invocation.function} raised {error!r}"
            )
        if invocation.process.ended and error is None and invocation.function != "ReconcileExports":
            self._nothing_when_it_says_so(invocation)

    def _nothing_when_it_says_so(self, invocation: Invocation) -> None:
        """Who is refused has changed nothing, and what a 503 says of that is true."""
        answer = invocation.process.result or {}  # a function may return nothing
        status = answer.get("statusCode", 200)
        if status < 400:
            return
        detail = json.loads(answer["body"])["detail"]
        if (status < 500 and not invocation.unanswered) or "Nothing was changed" in detail:
            assert not invocation.changes, f"{invocation.function} says: {detail}"
        if "Nothing was accepted" in detail:
            made = {new["export_id"] for old, new in invocation.changes if new and not old}
            there = {record["export_id"] for record in self.records()}
            assert not made & there, f"{invocation.function} says: {detail}"

    def excuse(self, execution: str) -> None:
        """A sender of the letter of this execution's attempt may have died."""
        export_id, attempt = execution.rsplit("-", 1)
        self.excused.add(f"{export_id}/{attempt}")

    # The end

    def all_have_ended(self) -> None:
        late = {record["export_id"]: record["status"] for record in self.records() if record["status"] in ACTIVE}
        assert not late, f"not over in time: {late}"

    def all_is_settled(self) -> None:
        records = self.records()
        assert not [record["export_id"] for record in records if "active_owner" in record], "not settled in time"
        assert not [record["export_id"] for record in records if "letter" in record]
        letters = Counter(
            (letter["export_id"], letter["attempt"]) for letter in map(json.loads, self.world.memory.letters)
        )
        for attempt, statuses in self.reached.items():
            name = f"{attempt[0]}/{attempt[1]}"
            if "FAILED" not in statuses:
                assert not letters[attempt]
                continue
            assert letters[attempt] or {attempt[0], name} & self.overtaken, f"no letter for {name}"
            assert letters[attempt] <= 1 or self.all_excused or name in self.excused, f"{letters[attempt]} for {name}"

    def no_file_is_left(self) -> None:
        """Nothing lies under exports/ that no record names.

        What a worker leaves that dies between completing its file and looking whether it is wanted is removed while its
        attempt is the last one; once the export was retried or removed, the bucket's lifecycle rule removes it.
        """
        named = {record["file_key"] for record in self.records() if record["status"] == "SUCCEEDED"}
        last = {record["export_id"]: record["attempt"] for record in self.records()}
        for key in {key for key in self.world.memory.objects if key.startswith("exports/")} - named:
            export_id, attempt = key.split("/")[3], int(key.split("/")[4])
            assert last.get(export_id, attempt + 1) > attempt, f"no record names {key}"
            assert (export_id, attempt) in self.abandoned, f"no record names {key}"


def plain(item: dict[str, Any] | None) -> dict[str, Any] | None:
    """An item without types."""
    return item and {name: _plain(value) for name, value in item.items()}


def _plain(value: dict[str, Any]) -> Any:
    ((kind, content),) = value.items()
    return content if kind == "S" else int(content) if kind == "N" else TypeDeserializer().deserialize(value)


@cache
def _pipe() -> list[EventPattern]:
    from tests.stateful.world import _template

    filters = _template().properties("AnnouncePipe")["SourceParameters"]["FilterCriteria"]["Filters"]
    return [EventPattern.load(each["Pattern"]) for each in filters]
