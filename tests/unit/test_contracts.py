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

from shared import contract
from shared.errors import InvalidEvent
from tests.unit.support import EVENTS, FUNCTIONS, cases, event, folder_of, functions, template

HANDLER_END = ".app.handler"


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
    if len(cases(folder)) < 2:
        yield f"events/{folder}/ holds {len(cases(folder))} events, at least two are needed"
    refused = sorted((EVENTS / folder / "invalid").glob("*.json"))
    if not refused:
        yield f"events/{folder}/invalid/ holds no event"
    for path in refused:
        if not path.with_suffix(".txt").exists():
            yield f"events/{folder}/invalid/{path.stem}.txt is missing, the message that refuses {path.name}"


def faulty_schema(folder: str, *, ours: bool) -> Iterator[str]:
    schema = read_schema(folder)
    if schema.get("$schema") != Draft202012Validator.META_SCHEMA["$id"]:
        yield f"event.schema.json: $schema is {schema.get('$schema')}, not draft 2020-12"
    Draft202012Validator.check_schema(schema)
    if ours:
        for where, inner in objects(schema):
            if inner.get("additionalProperties") is not False:
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
        "EraseExports: events/erase_exports/ holds 0 events, at least two are needed",
        "EraseExports: events/erase_exports/invalid/ holds no event",
    ]


def test_a_handler_elsewhere_is_found() -> None:
    changed = copy.deepcopy(template())
    changed["Resources"]["ListReports"]["Properties"]["Handler"] = "reports.lambda_handler"
    assert breaches(changed) == ["ListReports: Handler is reports.lambda_handler, not <folder>.app.handler"]


def test_a_refused_event_without_its_message_and_an_open_payload_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "erase").mkdir()
    (tmp_path / "erase" / "app.py").touch()
    inner = {"type": "object", "properties": {"part": {"type": "object"}}, "additionalProperties": False}
    schema = {"$schema": "http://json-schema.org/draft-07/schema#", **inner}
    (tmp_path / "erase" / "event.schema.json").write_text(json.dumps(schema))
    (tmp_path / "erase" / "invalid").mkdir()
    for file in ("one.json", "two.json", "invalid/empty.json"):
        (tmp_path / "erase" / file).write_text("{}")
    for module in (inspect.getmodule(cases), inspect.getmodule(breaches)):
        monkeypatch.setattr(module, "EVENTS", tmp_path)
        monkeypatch.setattr(module, "FUNCTIONS", tmp_path)
    made_up = {"Erase": {"Type": "AWS::Serverless::Function", "Properties": {"Handler": "erase.app.handler"}}}
    assert breaches({"Resources": made_up}) == [
        "Erase: events/erase/invalid/empty.txt is missing, the message that refuses empty.json",
        "Erase: event.schema.json: $schema is http://json-schema.org/draft-07/schema#, not draft 2020-12",
        "Erase: event.schema.json: #/properties/part lets unknown fields in",
    ]


def test_every_folder_of_events_belongs_to_a_function() -> None:
    assert sorted(path.name for path in EVENTS.iterdir() if path.is_dir()) == sorted(FOLDERS)


def test_every_message_belongs_to_an_event() -> None:
    assert [path for path in EVENTS.rglob("*.txt") if not path.with_suffix(".json").exists()] == []


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


@pytest.mark.usefixtures("no_aws")
def test_what_aws_adds_to_an_envelope_changes_no_answer(api: Callable[..., Any]) -> None:
    given = event("list_reports/typical")
    plain = api("ListReports", given)
    for place in (given, given["requestContext"], given["requestContext"]["identity"], given["headers"]):
        place["x-new-from-aws"] = "anything"
    assert api("ListReports", given) == plain


@pytest.mark.parametrize("name", [name for name, function in functions().items() if not function.get("Events")])
@pytest.mark.usefixtures("no_aws")
def test_an_unknown_field_of_a_task_is_refused(name: str, handler: Callable[[str], Any]) -> None:
    given = event(f"{folder_of(functions()[name])}/typical")
    with pytest.raises(InvalidEvent, match=r"^/tenant: is not known here, allowed: "):
        handler(name)({**given, "tenant": "DL"})


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
