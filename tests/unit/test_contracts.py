"""Every function keeps its contract beside its code, and its events prove it."""

import copy
import inspect
import json
import re
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from shared.errors import InvalidEvent
from shared.lambda_ import contract, faults
from tests.unit.support import EVENTS, FUNCTIONS, Answer, cases, event, folder_of, functions, template

HANDLER_END = ".app.handler"
OUTCOMES = contract.validator(json.loads((EVENTS / "outcome.schema.json").read_text("utf-8")))


def breaches(of: dict[str, Any]) -> list[str]:
    """What a template's functions lack: each must have its folder, its schema, and events that pass and that do not."""
    found = []
    for name, function in functions(of).items():
        if not function["Handler"].endswith(HANDLER_END):
            found.append(f"{name}: Handler is {function['Handler']}, not <folder>{HANDLER_END}")
            continue
        folder = folder_of(function)
        found += [f"{name}: {fault}" for fault in missing_files(folder)]
        if (FUNCTIONS / folder / "event.schema.json").exists():
            found += [f"{name}: {fault}" for fault in faulty_schema(folder, ours=not function.get("Events"))]
    return found


def missing_files(folder: str) -> Iterator[str]:
    for file in ("app.py", "event.schema.json"):
        if not (FUNCTIONS / folder / file).exists():
            yield f"functions/{folder}/{file} is missing"
    yield from missing_events(folder)
    for case in cases(folder):
        yield from faulty_outcome(folder, case)


def missing_events(folder: str) -> Iterator[str]:
    there = set(cases(folder))
    for case in ("typical", "duplicate"):
        if case not in there:
            yield f"events/{folder}/{case}.json is missing"
    if not there - {"typical", "duplicate"}:
        yield f"events/{folder}/ holds no edge, which is an event besides typical and duplicate"
    refused = sorted((EVENTS / folder / "invalid").glob("*.json"))
    if len(refused) < 2:
        yield f"events/{folder}/invalid/ holds {len(refused)} events, at least two are needed"
    for path in refused:
        if not path.with_suffix(".txt").exists():
            yield f"events/{folder}/invalid/{path.stem}.txt is missing, the message that refuses {path.name}"


def faulty_outcome(folder: str, case: str) -> Iterator[str]:
    name = f"{folder}/outcomes/{case}"
    if not (EVENTS / f"{name}.json").exists():
        yield f"events/{name}.json is missing, what must come of {case}.json"
        return
    outcome = event(name)
    for fault in contract.faults(OUTCOMES, outcome):
        yield f"events/{name}.json: {faults.sentence(fault)}"
    if case == "duplicate" and "writes" in outcome:
        yield f"events/{name}.json: /writes: a second delivery changes nothing more"


def faulty_schema(folder: str, *, ours: bool) -> Iterator[str]:
    schema = read_schema(folder)
    if schema.get("$schema") != Draft202012Validator.META_SCHEMA["$id"]:
        yield f"event.schema.json: $schema is {schema.get('$schema')}, not draft 2020-12"
    Draft202012Validator.check_schema(schema)
    if ours:
        for where, inner in objects(schema):
            if inner.get("additionalProperties", True) in (True, {}):  # names of columns are any, their values are not
                yield f"event.schema.json: {where} lets unknown fields in"
    elif schema.get("additionalProperties", True) is not True:
        yield "event.schema.json: what AWS adds to its envelope is refused"


def read_schema(folder: str) -> dict[str, Any]:
    return json.loads((FUNCTIONS / folder / "event.schema.json").read_text("utf-8"))  # type: ignore[no-any-return]


def objects(schema: Any, where: str = "#") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema within a schema that describes an object."""
    if isinstance(schema, dict):
        if schema.get("type") == "object" or "properties" in schema:
            yield where, schema
        for name, inner in schema.items():
            yield from objects(inner, f"{where}/{name}")
    elif isinstance(schema, list):
        for index, inner in enumerate(schema):
            yield from objects(inner, f"{where}/{index}")


FOLDERS = [folder_of(function) for function in functions().values()]
ENVELOPES = [folder_of(function) for function in functions().values() if function.get("Events")]
LOGICAL_IDS = {folder_of(function): name for name, function in functions().items()}
REFUSED = [(folder, path.stem) for folder in FOLDERS for path in sorted((EVENTS / folder / "invalid").glob("*.json"))]


def test_every_function_has_its_folder_its_schema_and_its_events() -> None:
    assert breaches(template()) == []


def test_a_function_without_them_and_a_handler_elsewhere_are_found() -> None:
    changed = copy.deepcopy(template())
    changed["Resources"]["EraseExports"] = MADE_UP["Resources"]["Erase"]
    changed["Resources"]["ListReports"]["Properties"]["Handler"] = "reports.lambda_handler"
    assert breaches(changed) == [
        "ListReports: Handler is reports.lambda_handler, not <folder>.app.handler",
        "EraseExports: functions/erase/app.py is missing",
        "EraseExports: functions/erase/event.schema.json is missing",
        "EraseExports: events/erase/typical.json is missing",
        "EraseExports: events/erase/duplicate.json is missing",
        "EraseExports: events/erase/ holds no edge, which is an event besides typical and duplicate",
        "EraseExports: events/erase/invalid/ holds 0 events, at least two are needed",
    ]


MADE_UP = {
    "Resources": {"Erase": {"Type": "AWS::Serverless::Function", "Properties": {"Handler": "erase.app.handler"}}}
}
CLOSED = {"$schema": Draft202012Validator.META_SCHEMA["$id"], "type": "object", "additionalProperties": False}


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Any], None]:
    """Writes a file where now the function Erase, with all that it needs, is all there is."""
    for module in (inspect.getmodule(cases), inspect.getmodule(breaches)):
        monkeypatch.setattr(module, "EVENTS", tmp_path / "events")
        monkeypatch.setattr(module, "FUNCTIONS", tmp_path / "functions")

    def write(name: str, content: Any) -> None:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(json.dumps(content))

    for file in ("app.py", "event.schema.json"):
        write(f"functions/erase/{file}", CLOSED)
    for case in ("typical", "duplicate", "nothing"):
        write(f"events/erase/{case}.json", {})
        write(f"events/erase/outcomes/{case}.json", {"returns": None})
    for file in ("one.json", "one.txt", "two.json", "two.txt"):
        write(f"events/erase/invalid/{file}", {})
    return write


OPEN = CLOSED | {"$schema": "http://json-schema.org/draft-07/schema#", "properties": {"part": {"type": "object"}}}


@pytest.mark.parametrize(
    ("file", "content", "found"),
    [
        ("functions/erase/app.py", {}, []),
        (
            "functions/erase/event.schema.json",
            OPEN,
            [
                "event.schema.json: $schema is http://json-schema.org/draft-07/schema#, not draft 2020-12",
                "event.schema.json: #/properties/part lets unknown fields in",
            ],
        ),
        ("events/erase/late.json", {}, ["events/erase/outcomes/late.json is missing, what must come of late.json"]),
        (
            "events/erase/invalid/three.json",
            {},
            ["events/erase/invalid/three.txt is missing, the message that refuses three.json"],
        ),
        (
            "events/erase/outcomes/nothing.json",
            {"returns": None, "record": {}},
            [
                "events/erase/outcomes/nothing.json: /record: is not known here,"
                " allowed: answer, given, raises, returns, writes"
            ],
        ),
        (
            "events/erase/outcomes/duplicate.json",
            {"returns": None, "writes": {"letters": [{}]}},
            ["events/erase/outcomes/duplicate.json: /writes: a second delivery changes nothing more"],
        ),
    ],
)
def test_what_a_function_lacks_is_found(
    file: str, content: Any, found: list[str], write: Callable[[str, Any], None]
) -> None:
    write(file, content)
    assert breaches(MADE_UP) == [f"Erase: {each}" for each in found]


def test_every_folder_of_events_belongs_to_a_function() -> None:
    assert sorted(path.name for path in EVENTS.iterdir() if path.is_dir()) == sorted(FOLDERS)


def test_every_message_and_every_outcome_belongs_to_an_event() -> None:
    events = [path.with_suffix(".json") for path in EVENTS.rglob("*.txt")]
    events += [path.parents[1] / path.name for path in EVENTS.rglob("outcomes/*.json")]
    assert [path for path in events if not path.exists()] == []


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_valid_event_keeps_the_contract_and_what_aws_adds_to_an_envelope_is_let_in(folder: str) -> None:
    for case in cases(folder):
        given = event(f"{folder}/{case}")
        assert contract.faults(read_schema(folder), given) == [], case
        if folder in ENVELOPES:
            for place in [(), *places(given)]:
                if isinstance(inner := at(given, place), dict):
                    inner["x-new-from-aws"] = "anything"
            given["newFromAws"] = {"nested": [1, None]}
            assert contract.faults(read_schema(folder), given) == [], case


@pytest.mark.parametrize(("folder", "case"), REFUSED)
@pytest.mark.usefixtures("no_aws")
def test_a_refused_event_gives_its_message_before_any_work(
    folder: str, case: str, handler: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("the network was used"))
    message = (EVENTS / folder / "invalid" / f"{case}.txt").read_text("utf-8").rstrip("\n")
    with pytest.raises(InvalidEvent) as refused:
        handler(LOGICAL_IDS[folder])(event(f"{folder}/invalid/{case}"))
    assert str(refused.value) == message


# ── Whatever is wrong with a payload of ours is said with its place ─────────────────────────────────────────────────

KINDS: dict[str, Any] = {"null": None, "boolean": True, "number": 0.5, "text": "\x00", "array": [], "object": {}}
"""A value of each kind that JSON has; the number and the text are none that any field of ours allows."""
TASKS = [f"{folder}/typical" for folder in FOLDERS if folder not in ENVELOPES] + ["generate_part/no_rows"]
SAID = {"dropped": "is missing", "retyped": "is not allowed", "added": "is not known here"}


def kind_of(value: Any) -> str:
    known = 0.5 if type(value) is int else value
    return next(kind for kind, example in KINDS.items() if type(example) is type(known))


def places(value: Any, *path: Any) -> Iterator[tuple[Any, ...]]:
    """The path of every value within a payload."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, each in inner:
        yield (*path, name)
        yield from places(each, *path, name)


def at(value: Any, path: tuple[Any, ...]) -> Any:
    for name in path:
        value = value[name]
    return value


def broken(payload: Any) -> Iterator[tuple[Any, str, str]]:
    """The payload with one field dropped, retyped or added, at any depth: what was done, and that field's pointer."""

    def changed(path: tuple[Any, ...], *value: Any) -> Any:
        copied = copy.deepcopy(payload)
        if value:
            at(copied, path[:-1])[path[-1]] = value[0]
        else:
            del at(copied, path[:-1])[path[-1]]
        return copied

    for path in [(), *places(payload)]:
        found, where = at(payload, path), faults.pointer(*path)
        if path and isinstance(path[-1], str):
            yield changed(path), "dropped", where
        for kind, value in KINDS.items():
            if path and kind != kind_of(found):
                yield changed(path, value), "retyped", where
            if isinstance(found, dict):
                yield changed((*path, "x-a/b~"), value), "added", f"{where}/x-a~1b~0"


@pytest.mark.parametrize("name", TASKS)
def test_a_broken_task_is_refused_with_the_place(name: str) -> None:
    schema = contract.validator(read_schema(name.partition("/")[0]))
    for changed, how, pointer in broken(event(name)):
        found = contract.faults(schema, changed)
        assert {fault["pointer"] for fault in found} == {pointer}
        assert all(SAID[how] in fault["detail"] for fault in found)
    for value in KINDS.values():
        if not isinstance(value, dict):
            assert [fault["pointer"] for fault in contract.faults(schema, value)] == [""]


@pytest.mark.usefixtures("no_aws")
def test_a_broken_input_of_an_execution_is_refused_with_the_place(handler: Callable[[str], Any]) -> None:
    ended = event("reconcile_exports/typical")
    for changed, how, pointer in broken(json.loads(ended["detail"]["input"])):
        ended["detail"]["input"] = json.dumps(changed)
        with pytest.raises(InvalidEvent, match=SAID[how]) as refused:
            handler("ReconcileExports")(ended)
        assert str(refused.value).startswith("/detail/input: ")
        assert f"{pointer}: " in str(refused.value)


OPTIONAL = ("/options", "/options/bom", "/parameters/origin", "/parameters/minimum_delay")
"""What a request may leave out."""


@pytest.mark.usefixtures("no_aws")
def test_a_broken_request_is_answered_400_with_the_place(api: Callable[[str, Any], Answer]) -> None:
    request = event("request_export/typical")
    for changed, how, pointer in broken(json.loads(request["body"])):
        if how == "dropped" and pointer in OPTIONAL:
            continue
        answered = api("RequestExport", request | {"body": json.dumps(changed)})
        assert answered.status == 400
        # Of parameters that are missing all at once, each that is needed is told.
        found = [fault for fault in answered.body["errors"] if f"{fault['pointer']}/".startswith(f"{pointer}/")]
        assert found
        assert all(SAID[how] in fault["detail"] for fault in found)


@pytest.mark.parametrize(("folder", "case"), [each.split("/") for each in TASKS])
def test_a_line_feed_after_what_matches_does_not_match(folder: str, case: str) -> None:
    task = event(f"{folder}/{case}")
    for field in {"owner", "export_id", "plan"} & set(task):
        found = contract.faults(read_schema(folder), task | {field: f"{task[field]}\n"})
        assert [fault["pointer"] for fault in found] == [f"/{field}"]


def test_the_local_environment_names_the_variables_of_the_template_and_holds_text_as_lambda_does() -> None:
    for name, function in functions().items():
        variables = event("environment")[name]
        assert sorted(variables) == sorted(function.get("Environment", {}).get("Variables", {}))
        assert all(isinstance(value, str) for value in variables.values())
    assert set(event("environment")) == set(functions())


@pytest.mark.parametrize("name", [name for name, each in functions().items() if "USER_POOL_CLIENT_ID" in str(each)])
def test_the_local_environment_accepts_the_callers_of_the_events(name: str) -> None:
    claims = event(f"{folder_of(functions()[name])}/typical")["requestContext"]["authorizer"]["claims"]
    variables = event("environment")[name]
    assert claims["aud"] == variables["USER_POOL_CLIENT_ID"]
    assert variables["TENANT_CLAIM"] in claims


def test_no_event_holds_a_token() -> None:
    assert [path for path in EVENTS.rglob("*.json") if re.search(r"eyJ[\w-]+\.", path.read_text("utf-8"))] == []
