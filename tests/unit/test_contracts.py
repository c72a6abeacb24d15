"""Every function keeps its contract beside its code, and its events prove it."""

import copy
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
from tests.unit.support import EVENTS, FUNCTIONS, Answer, cases, event, folder_of, functions, is_called_by_aws

OUTCOMES = contract.validator(json.loads((EVENTS / "outcome.schema.json").read_text("utf-8")))


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


LOGICAL_IDS = {folder_of(function): name for name, function in functions().items()}
FOLDERS = [*LOGICAL_IDS]
ENVELOPES = [folder_of(function) for function in functions().values() if is_called_by_aws(function)]
REFUSED = [(folder, path.stem) for folder in FOLDERS for path in sorted((EVENTS / folder / "invalid").glob("*.json"))]


def test_every_handler_is_in_a_folder_of_its_own_as_are_its_events() -> None:
    handlers = [str(function["Handler"]) for function in functions().values()]
    assert [handler for handler in handlers if not re.fullmatch(r"[a-z_]+\.app\.handler", handler)] == []
    assert len(set(handlers)) == len(handlers)
    assert sorted(path.name for path in EVENTS.iterdir() if path.is_dir()) == sorted(FOLDERS)


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_function_has_its_code_and_events_that_it_takes_and_that_it_refuses(folder: str) -> None:
    assert (FUNCTIONS / folder / "app.py").exists()
    there = set(cases(folder))
    assert {"typical", "duplicate"} < there, f"events/{folder}/ lacks typical.json, duplicate.json, or an edge besides"
    refused = {path.name for path in (EVENTS / folder / "invalid").iterdir()}
    assert len(refused) >= 4, f"events/{folder}/invalid/ needs at least two events and the messages that refuse them"
    stems = {Path(name).stem for name in refused}
    assert refused == {f"{stem}{kind}" for stem in stems for kind in (".json", ".txt")}, "each has its message"


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_event_has_its_outcome_and_a_second_delivery_changes_nothing_more(folder: str) -> None:
    """What must come of an event is in outcomes/."""
    assert {path.stem for path in (EVENTS / folder / "outcomes").iterdir()} == set(cases(folder))
    for case in cases(folder):
        outcome = event(f"{folder}/outcomes/{case}")
        assert contract.faults(OUTCOMES, outcome) == [], case
        assert case != "duplicate" or "writes" not in outcome


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_schema_is_closed_but_for_what_aws_adds_to_its_envelopes(folder: str) -> None:
    schema = read_schema(folder)
    assert schema["$schema"] == Draft202012Validator.META_SCHEMA["$id"]
    Draft202012Validator.check_schema(schema)
    # Names of columns are any, their values are not.
    lets_in = [where for where, inner in objects(schema) if inner.get("additionalProperties", True) in (True, {})]
    assert ("#" in lets_in) if folder in ENVELOPES else (lets_in == [])


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
SAID = {"dropped": "is missing", "retyped": "is not allowed", "added": "unknown field"}


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
    environment = event("environment")
    assert set(environment) == set(functions())
    for name, function in functions().items():
        assert sorted(environment[name]) == sorted(function.get("Environment", {}).get("Variables", {}))
        assert all(isinstance(value, str) for value in environment[name].values())


def test_no_event_holds_a_token() -> None:
    assert [path for path in EVENTS.rglob("*.json") if re.search(r"eyJ[\w-]+\.", path.read_text("utf-8"))] == []
