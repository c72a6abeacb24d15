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
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
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
VALID = [(folder, case) for folder in FOLDERS for case in cases(folder)]
REFUSED = [(folder, path.stem) for folder in FOLDERS for path in sorted((EVENTS / folder / "invalid").glob("*.json"))]


def test_every_function_has_its_folder_its_schema_and_its_events() -> None:
    assert breaches(template()) == []


def test_a_function_without_them_is_found() -> None:
    changed = copy.deepcopy(template())
    changed["Resources"]["EraseExports"] = {
        "Type": "AWS::Serverless::Function",
        "Properties": {"Handler": "erase_exports.app.handler"},
    }
    assert breaches(changed) == [
        "EraseExports: functions/erase_exports/app.py is missing",
        "EraseExports: functions/erase_exports/event.schema.json is missing",
        "EraseExports: events/erase_exports/typical.json is missing",
        "EraseExports: events/erase_exports/duplicate.json is missing",
        "EraseExports: events/erase_exports/ holds no edge, which is an event besides typical and duplicate",
        "EraseExports: events/erase_exports/invalid/ holds 0 events, at least two are needed",
    ]


def test_a_handler_elsewhere_is_found() -> None:
    changed = copy.deepcopy(template())
    changed["Resources"]["ListReports"]["Properties"]["Handler"] = "reports.lambda_handler"
    assert breaches(changed) == ["ListReports: Handler is reports.lambda_handler, not <folder>.app.handler"]


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


def test_a_function_with_all_of_them_breaks_nothing(write: Callable[[str, Any], None]) -> None:
    assert breaches(MADE_UP) == []


def test_a_refused_event_without_its_message_is_found(write: Callable[[str, Any], None]) -> None:
    write("events/erase/invalid/three.json", {})
    assert breaches(MADE_UP) == [
        "Erase: events/erase/invalid/three.txt is missing, the message that refuses three.json"
    ]


def test_an_event_without_its_outcome_is_found(write: Callable[[str, Any], None]) -> None:
    write("events/erase/late.json", {})
    assert breaches(MADE_UP) == ["Erase: events/erase/outcomes/late.json is missing, what must come of late.json"]


def test_an_outcome_that_nobody_can_read_is_found(write: Callable[[str, Any], None]) -> None:
    write("events/erase/outcomes/nothing.json", {"returns": None, "record": {}})
    assert breaches(MADE_UP) == [
        "Erase: events/erase/outcomes/nothing.json: /record: unknown field,"
        " allowed: answer, given, raises, returns, writes"
    ]


def test_a_second_delivery_that_writes_is_found(write: Callable[[str, Any], None]) -> None:
    write("events/erase/outcomes/duplicate.json", {"returns": None, "writes": {"letters": [{}]}})
    assert breaches(MADE_UP) == [
        "Erase: events/erase/outcomes/duplicate.json: /writes: a second delivery changes nothing more"
    ]


def test_an_open_payload_and_another_draft_are_found(write: Callable[[str, Any], None]) -> None:
    inner = CLOSED | {"$schema": "http://json-schema.org/draft-07/schema#", "properties": {"part": {"type": "object"}}}
    write("functions/erase/event.schema.json", inner)
    assert breaches(MADE_UP) == [
        "Erase: event.schema.json: $schema is http://json-schema.org/draft-07/schema#, not draft 2020-12",
        "Erase: event.schema.json: #/properties/part lets unknown fields in",
    ]


def test_every_folder_of_events_belongs_to_a_function() -> None:
    assert sorted(path.name for path in EVENTS.iterdir() if path.is_dir()) == sorted(FOLDERS)


def test_every_message_belongs_to_an_event() -> None:
    assert [path for path in EVENTS.rglob("*.txt") if not path.with_suffix(".json").exists()] == []


def test_every_outcome_belongs_to_an_event() -> None:
    outcomes = [path for folder in FOLDERS for path in (EVENTS / folder / "outcomes").iterdir()]
    assert [path for path in outcomes if not (path.parents[1] / path.name).exists()] == []


@pytest.mark.parametrize(("folder", "case"), VALID)
def test_a_valid_event_keeps_the_contract(folder: str, case: str) -> None:
    assert contract.faults(read_schema(folder), event(f"{folder}/{case}")) == []


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


@pytest.mark.parametrize(("folder", "case"), [pair for pair in VALID if pair[0] in ENVELOPES])
def test_what_aws_adds_to_an_envelope_is_let_in(folder: str, case: str) -> None:
    given = event(f"{folder}/{case}")
    for place in mappings(given):
        place["x-new-from-aws"] = "anything"
    given["newFromAws"] = {"nested": [1, None]}
    assert contract.faults(read_schema(folder), given) == []


def mappings(value: Any) -> Iterator[dict[str, Any]]:
    """Every object within an event."""
    if isinstance(value, dict):
        yield value
        for inner in list(value.values()):
            yield from mappings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from mappings(inner)


# ── Whatever is wrong with a payload of ours is said with its place ─────────────────────────────────────────────────

KINDS: dict[str, Any] = {"null": None, "boolean": True, "number": 0.5, "text": "\x00", "array": [], "object": {}}
"""A value of each kind that JSON has; the number and the text are none that any field of ours allows."""
TASKS = [name for name, function in functions().items() if not function.get("Events")]
many = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
"""The fixtures give functions and keep nothing, so that examples may share them."""


def kind_of(value: Any) -> str:
    return next(
        kind
        for kind, example in KINDS.items()
        if type(example) is type(value) or (kind == "number" and type(value) is int)
    )


def places(value: Any, *path: Any) -> Iterator[tuple[Any, ...]]:
    """The path of every value within a payload."""
    for name, inner in (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    ):
        yield (*path, name)
        yield from places(inner, *path, name)


def at(value: Any, path: tuple[Any, ...]) -> Any:
    for name in path:
        value = value[name]
    return value


@st.composite
def broken(draw: st.DrawFn, payload: Any, optional: tuple[str, ...] = ()) -> tuple[Any, str, str]:
    """A payload with one field dropped, retyped or added at any depth; what was done, and the pointer of that field."""
    changed = copy.deepcopy(payload)
    every = list(places(changed))
    match how := draw(st.sampled_from(["dropped", "retyped", "added"])):
        case "dropped":
            named = [path for path in every if isinstance(path[-1], str)]
            path = draw(st.sampled_from([path for path in named if faults.pointer(*path) not in optional]))
            del at(changed, path[:-1])[path[-1]]
        case "retyped":
            path = draw(st.sampled_from(every))
            others = [kind for kind in KINDS if kind != kind_of(at(changed, path))]
            at(changed, path[:-1])[path[-1]] = KINDS[draw(st.sampled_from(others))]
        case _:
            objects = [(), *(path for path in every if isinstance(at(changed, path), dict))]
            path = (*draw(st.sampled_from(objects)), "x-" + draw(st.text()))
            at(changed, path[:-1])[path[-1]] = draw(st.sampled_from(list(KINDS.values())))
    return changed, how, faults.pointer(*path)


SAID = {"dropped": "is missing", "retyped": "is not allowed", "added": "unknown field"}


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.usefixtures("no_aws")
@many
@given(data=st.data())
def test_a_broken_task_is_refused_with_the_place(name: str, handler: Callable[[str], Any], data: st.DataObject) -> None:
    changed, how, pointer = data.draw(broken(event(f"{folder_of(functions()[name])}/typical")))
    with pytest.raises(InvalidEvent) as refused:
        handler(name)(changed)
    assert f"{pointer}: " in str(refused.value)
    assert SAID[how] in str(refused.value)


@pytest.mark.usefixtures("no_aws")
@many
@given(data=st.data())
def test_a_broken_input_of_an_execution_is_refused_with_the_place(
    handler: Callable[[str], Any], data: st.DataObject
) -> None:
    ended = event("reconcile_exports/typical")
    changed, how, pointer = data.draw(broken(json.loads(ended["detail"]["input"])))
    ended["detail"]["input"] = json.dumps(changed)
    with pytest.raises(InvalidEvent) as refused:
        handler("ReconcileExports")(ended)
    assert str(refused.value).startswith("/detail/input: ")
    assert f"{pointer}: " in str(refused.value)
    assert SAID[how] in str(refused.value)


OPTIONAL = ("/options", "/options/bom", "/parameters/origin", "/parameters/minimum_delay")
"""What a request may leave out."""


@pytest.mark.usefixtures("no_aws")
@many
@given(data=st.data())
def test_a_broken_request_is_answered_400_with_the_place(
    api: Callable[[str, Any], Answer], data: st.DataObject
) -> None:
    request = event("request_export/typical")
    changed, how, pointer = data.draw(broken(json.loads(request["body"]), OPTIONAL))
    answered = api("RequestExport", request | {"body": json.dumps(changed)})
    assert answered.status == 400
    # Of parameters that are missing all at once, each that is needed is told.
    found = [fault for fault in answered.body["errors"] if f"{fault['pointer']}/".startswith(f"{pointer}/")]
    assert found
    assert all(SAID[how] in fault["detail"] for fault in found)


def test_the_local_environment_names_the_variables_of_the_template() -> None:
    local = {name: sorted(variables) for name, variables in event("environment").items()}
    assert local == {
        name: sorted(function.get("Environment", {}).get("Variables", {})) for name, function in functions().items()
    }


def test_the_local_environment_holds_text_as_lambda_does() -> None:
    values = [value for variables in event("environment").values() for value in variables.values()]
    assert all(isinstance(value, str) for value in values)


@pytest.mark.parametrize("name", [name for name, each in functions().items() if "USER_POOL_CLIENT_ID" in str(each)])
def test_the_local_environment_accepts_the_callers_of_the_events(name: str) -> None:
    claims = event(f"{folder_of(functions()[name])}/typical")["requestContext"]["authorizer"]["claims"]
    variables = event("environment")[name]
    assert claims["aud"] == variables["USER_POOL_CLIENT_ID"]
    assert variables["TENANT_CLAIM"] in claims


def test_no_event_holds_a_token() -> None:
    assert [path for path in EVENTS.rglob("*.json") if re.search(r"eyJ[\w-]+\.", path.read_text("utf-8"))] == []
