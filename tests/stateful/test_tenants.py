"""Whatever a user asks for: the file holds the tenant's rows alone, and every key is the user's own.

The rows are real Parquet files, and everything from the request to the signed address is the product's. What is right
is computed here in plain Python.
"""

from __future__ import annotations

import contextlib
import csv
import datetime
import io
import json
import os
import re
import threading
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import polars as pl
import pytest
import python_calamine
from botocore import xform_name
from botocore.client import BaseClient
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.api.identity import Caller
from shared.catalogue import reports
from shared.engine.sources import SOURCES, parquet
from tests.stateful import world
from tests.stateful.memory import Refused
from tests.stateful.process import Call
from tests.support.stepper import Ask, FanOut, Run

REPORT = """
title: Rows
source:
  type: parquet
  dataset: rows
  columns: {id: integer, tenant: string, text: string, number: integer, share: number, flag: boolean, day: date}
tenant: tenant
sortable: [id]
parameters:
  text_is: {title: T, type: string, filter: {column: text, operator: "=="}}
  text_is_not: {title: T, type: string, filter: {column: text, operator: "!="}}
  text_has: {title: T, type: string, filter: {column: text, operator: contains}}
  text_in: {title: T, type: string, filter: {column: text, operator: in}}
  no_text: {title: T, type: boolean, filter: {column: text, operator: is null}}
  number_is: {title: N, type: integer, filter: {column: number, operator: "=="}}
  number_from: {title: N, type: integer, filter: {column: number, operator: ">="}}
  number_in: {title: N, type: integer, filter: {column: number, operator: in}}
  twice_to: {title: N, type: integer, filter: {expression: number * 2, operator: "<="}}
  share_below: {title: S, type: number, filter: {column: share, operator: "<"}}
  flag_is: {title: F, type: boolean, filter: {column: flag, operator: "=="}}
  day_after: {title: D, type: date, filter: {column: day, operator: ">"}}
columns:
  - {name: id, title: Id, type: integer}
  - {name: text, title: Text, type: string}
"""


class Row(NamedTuple):
    """A row of the dataset."""

    tenant: str
    text: str | None
    number: int | None
    share: float | None
    flag: bool | None
    day: datetime.date | None


TENANT = "UA"
OTHERS = ["DL", "ua", "U", "UAA", "UA ", "ＵＡ", "U\u0410", "%", "*"]
HOSTILE = [
    *("' OR 1=1 --", "x') OR (tenant = 'DL", "1; DROP TABLE rows", "{tenant}", "$tenant", "%", "*", ".*", "\\", '"'),
    *("../../DL/", "%2e%2e%2f", "\0", "\r\nX-A: b", "\u202e", "DL", "UA", "=1+1", ""),
]
TEXTS = st.sampled_from(HOSTILE) | st.text(max_size=5)
NUMBERS, DAYS = st.integers(-3, 3), st.dates(datetime.date(2026, 1, 1), datetime.date(2026, 1, 5))
ASKED = TEXTS.filter(bool)  # the API refuses an empty text
SHARES = st.floats(allow_nan=False, allow_infinity=False)
USERS = st.sampled_from(["../../DL", "..", "a/b#c", "%2e%2e%2f", "DL#x", "auth0|7b", "' OR 1=1 --"])
FILE_NAMES = ["../../DL/x", "..\\x", 'x"; filename="y', "a\r\nSet-Cookie: b", "\u202egpj.exe", "con", "/etc/passwd"]
FORMATS = ["csv", "jsonl", "parquet", "xlsx"]
RIGHT: dict[str, st.SearchStrategy[Any]] = {
    "text_is": ASKED,
    "text_is_not": ASKED,
    "text_has": ASKED,
    "text_in": st.lists(ASKED, min_size=1, max_size=3, unique=True),
    "no_text": st.booleans(),
    "number_is": NUMBERS,
    "number_from": NUMBERS,
    "number_in": st.lists(NUMBERS, min_size=1, max_size=3, unique=True),
    "twice_to": NUMBERS,
    "share_below": SHARES,
    "flag_is": st.booleans(),
    "day_after": DAYS.map(str),
}
NAMES = st.sampled_from([*RIGHT, "tenant", "owner", "id", "text_is ", "/tenant", "source"])
JUNK = st.none() | st.booleans() | st.floats() | TEXTS | st.lists(TEXTS, max_size=2) | st.just({"$ne": 1})
ROWS = st.builds(
    Row,
    st.just(TENANT) | st.sampled_from(OTHERS),
    *(st.none() | kind for kind in (TEXTS, NUMBERS, SHARES, st.booleans(), DAYS)),
)


def passes(row: Row, name: str, value: Any) -> bool:
    """Whether a parameter keeps a row, as report.schema.json says."""
    text, number, share, day = row.text, row.number, row.share, row.day
    rules: dict[str, Callable[[], bool]] = {
        "text_is": lambda: text == value,
        "text_is_not": lambda: text is not None and text != value,
        "text_has": lambda: text is not None and value in text,
        "text_in": lambda: text in value,
        "no_text": lambda: (text is None) == value,
        "number_is": lambda: number == value,
        "number_from": lambda: number is not None and number >= value,
        "number_in": lambda: number in value,
        "twice_to": lambda: number is not None and number * 2 <= value,
        "share_below": lambda: share is not None and share < value,
        "flag_is": lambda: row.flag == value,
        "day_after": lambda: day is not None and day > datetime.date.fromisoformat(value),
    }
    return rules[name]()


def dataset(rows: list[Row], in_folders: bool) -> dict[str, bytes]:
    """The rows in files of at most five, with their places as ids; each tenant in folders of its own, or all mixed."""
    numbered = list(enumerate(rows))
    groups: dict[str, list[tuple[int, Row]]] = {"": numbered}
    if in_folders:
        groups = {f"tenant={urllib.parse.quote(row.tenant, safe='')}/": [] for row in rows}
        for number, row in numbered:
            groups[f"tenant={urllib.parse.quote(row.tenant, safe='')}/"].append((number, row))
    kinds = {"text": pl.String, "number": pl.Int64, "share": pl.Float64, "flag": pl.Boolean, "day": pl.Date}
    files = {}
    for folder, group in groups.items():
        for number, some in enumerate(group[at : at + 5] for at in range(0, len(group), 5)):
            table = pl.DataFrame({"id": [each for each, _ in some]}).with_columns(
                pl.Series("tenant", [row.tenant for _, row in some]),
                *(pl.Series(name, [getattr(row, name) for _, row in some], kind) for name, kind in kinds.items()),
            )
            content = io.BytesIO()
            (table.drop("tenant") if in_folders else table).write_parquet(content, row_group_size=2)
            files[f"data/rows/{folder}{number}.parquet"] = content.getvalue()
    return files


def ids(content: bytes, form: str) -> list[int]:
    """The ids in a file."""
    match form:
        case "csv":
            rows = list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline="")))
            return [int(row["Id"]) for row in rows]
        case "jsonl":
            return [json.loads(line)["id"] for line in content.decode().split("\n")[:-1]]
        case "parquet":
            return pl.read_parquet(content)["id"].to_list()
    sheet = python_calamine.CalamineWorkbook.from_filelike(io.BytesIO(content)).get_sheet_by_index(0)
    return [int(row[0]) for row in sheet.to_python()[1:]]  # type: ignore[arg-type]


class Stack:
    """The product on AWS in memory, which answers each call at once; remembers the keys of S3 that were asked for."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.memory = world.World().memory  # which gives the functions their time and new ids
        self.memory.on_change = lambda old, new: None
        for key, content in files.items():
            self.memory.put_object(key, content)
        self.started: list[dict[str, Any]] = []
        self.changed: set[str] = set()
        self.read: set[str] = set()
        self.owners: set[str] = set()
        self._one_at_a_time = threading.Lock()

    def answer(self, client: Any, operation: str, parameters: dict[str, Any]) -> Any:
        """In place of ``BaseClient._make_api_call``."""
        if operation == "StartExecution":
            self.started.append(json.loads(parameters["input"]))
            return {"executionArn": parameters["name"], "startDate": world.BEGIN}
        self._note(operation, parameters)
        with self._one_at_a_time:
            try:
                return getattr(self.memory, xform_name(operation))(**parameters)
            except Refused as refused:
                raise world._client_error(Call(client, operation, parameters), refused) from None

    def _note(self, operation: str, parameters: dict[str, Any]) -> None:
        keys = parameters.get("Key", parameters.get("Prefix"))
        if isinstance(keys, str):
            (self.read if operation.startswith(("Get", "Head", "List")) else self.changed).add(keys)
        written = json.dumps(parameters, default=str)
        self.owners |= set(re.findall(r'"owner": {"S": "([^"]*)"', written))

    def call(self, caller: Caller, method: str, resource: str, export_id: str = "", body: Any = None) -> dict[str, Any]:
        """What the API answers a caller."""
        functions = {"POST/exports": "RequestExport", "DELETE/exports/{id}": "DeleteExport"}
        event = {
            "httpMethod": method,
            "resource": resource,
            "headers": {"Accept": "application/json"},
            "pathParameters": {"id": export_id} if export_id else None,
            "queryStringParameters": None,
            "requestContext": {
                "authorizer": {"tenant": caller.tenant, "user": caller.user, "expires": "4102444800"},
                "domainName": "api.test",
                "path": "/v1" + resource.replace("{id}", export_id),
            },
            "body": None if body is None else json.dumps(body),
        }
        handler = world._handler(functions.get(method + resource, "ReadExports"))
        answer: dict[str, Any] = handler(event, world.CONTEXT)
        return answer

    def run(self, given: dict[str, Any]) -> str:
        """Runs an execution to its end; how it ended."""
        context = {"Execution": {"Id": "arn:aws:states:us-east-1:1:execution:m:x"}}
        return self._finish(Run(world._definition(), given, context, lambda: "2026-11-23T09:00:00.000Z"))

    def _finish(self, run: Run) -> str:
        while (wanted := run.waits_for) is not None:
            if isinstance(wanted, FanOut):
                items = json.loads(self.memory.objects[wanted.items_at["Key"]].body)
                assert {self._finish(wanted.child(item)) for item in items} <= {"SUCCEEDED"}
                self.changed.add(wanted.results_at["Prefix"])
                run.answer(None)
            else:
                run.answer(self._serve(wanted))
        return run.status

    def _serve(self, ask: Ask) -> Any:
        if ask.service == "dynamodb:updateItem":
            self._note("UpdateItem", ask.arguments)
            return self.memory.update_item(**ask.arguments)
        assert ask.service == "lambda:invoke"
        handler = world._handler(world._function(ask.arguments["FunctionName"].rsplit(":", 1)[-1]))
        return {"Payload": json.loads(json.dumps(handler(ask.arguments["Payload"], world.CONTEXT)))}


@pytest.fixture(scope="module", autouse=True)
def _rows(_product: None) -> Iterator[None]:
    """The report of this module, and the product's own source."""
    Path(os.environ["REPORTS_FOLDER"], "rows.yaml").write_text(REPORT, "utf-8")
    reports.deployed.cache_clear()
    with mock.patch.dict(SOURCES, {"parquet": parquet}):
        yield


@contextlib.contextmanager
def stack_with(files: dict[str, bytes]) -> Iterator[Stack]:
    stack = Stack(files)
    with mock.patch.object(BaseClient, "_make_api_call", lambda *call: stack.answer(*call)):
        yield stack


@settings(max_examples=2 * settings.default.max_examples)
@given(data=st.data())
def test_a_file_holds_the_tenants_rows_alone_and_every_key_is_the_callers_own(data: st.DataObject) -> None:
    rows = data.draw(st.lists(ROWS, min_size=1, max_size=12))
    caller, form = Caller(TENANT, data.draw(USERS)), data.draw(st.sampled_from(FORMATS))
    parameters = {name: data.draw(RIGHT[name]) for name in data.draw(st.sets(st.sampled_from([*RIGHT]), max_size=3))}
    body = {"report": "rows", "format": form, "parameters": parameters}
    body["options"] = {"file_name": data.draw(st.sampled_from(FILE_NAMES))}
    if data.draw(st.booleans()):  # then RunQuery reads the rows, not the parts
        body["sort"] = [{"column": "id", "descending": True}]
    with stack_with(dataset(rows, in_folders=data.draw(st.booleans()))) as stack:
        accepted = stack.call(caller, "POST", "/exports", body=body)
        assert accepted["statusCode"] == 202, accepted
        export_id = json.loads(accepted["body"])["id"]
        assert stack.run(*stack.started) == "SUCCEEDED"
        answer = stack.call(caller, "GET", "/exports/{id}/file", export_id)
        signed = urllib.parse.urlsplit(json.loads(answer["body"])["url"])
        key = urllib.parse.unquote(signed.path).removeprefix("/")

        mine = f"exports/{TENANT}/{caller.owner.partition('#')[2]}/{export_id}/"
        assert re.fullmatch(re.escape(mine) + r"1/[^/\\]+", key)
        assert [each for each in stack.changed if not each.startswith((mine, f"work/{export_id}/"))] == []
        assert [each for each in stack.read if not each.startswith((mine, f"work/{export_id}/", "data/rows/"))] == []
        assert stack.owners == {caller.owner}
        right = [
            number
            for number, row in enumerate(rows)
            if row.tenant == TENANT and all(passes(row, *parameter) for parameter in parameters.items())
        ]
        found = ids(stack.memory.objects[key].body, form)
        assert found == right[::-1] if "sort" in body else sorted(found) == right

        before = dict(stack.memory.objects), dict(stack.memory.table)
        for stranger in (Caller("DL", caller.user), Caller(TENANT, "someone-else")):
            for method, resource in (
                ("GET", "/exports/{id}"),
                ("GET", "/exports/{id}/file"),
                ("DELETE", "/exports/{id}"),
            ):
                assert stack.call(stranger, method, resource, export_id)["statusCode"] == 404
        assert (stack.memory.objects, stack.memory.table) == before


@given(name=NAMES, value=JUNK, right=st.sampled_from([{}, {"flag_is": True}]))
def test_a_parameter_that_is_refused_leaves_nothing_behind(name: str, value: Any, right: dict[str, Any]) -> None:
    with stack_with({}) as stack:
        body = {"report": "rows", "format": "csv", "parameters": right | {name: value}}
        answer = stack.call(Caller(TENANT, "x"), "POST", "/exports", body=body)
        if name not in RIGHT:
            assert answer["statusCode"] == 400
        if answer["statusCode"] == 400:
            assert (stack.memory.table, stack.memory.objects, stack.started, stack.changed) == ({}, {}, [], set())
