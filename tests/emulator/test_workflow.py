"""The project's own workflow on the emulator's interpreter: whatever a service says, it goes on as on moto's.

Services are mocked as Step Functions Local does it (AWS: "Using mocked service integrations"). The emulator gives every
try of a state the same mocked error, so a Retry is walked until it is used up.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from tests.emulator.conftest import EVERYTHING, Cloud, running
from tests.support.edges import edges_of, faults, flat, path, walked
from tests.support.moto_machine import Template

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MACHINE = json.loads(Template().definition())
STATES = flat(MACHINE)
FAILURE = {name: {"S": "text"} for name in ("state", "type", "error", "part")}
PLAN = {"plan": "0123", "parts_key": "parts.json", "results_prefix": "results", "parts_total": "1", "concurrency": 1}
FILE = dict.fromkeys(("key", "rows", "bytes", "crc32", "warning", "parts_total", "expires_at", "delete_after"), "1")
ANSWERS: dict[str, Any] = {
    "PlanParts": {"Payload": PLAN},
    "GeneratePart": {"Payload": {"part": 0, "rows": 1, "bytes": 1}},
    "AssembleFile": {"Payload": FILE},
    "RecordFailed": {"Attributes": {"failure": {"M": FAILURE}}},
}
"""What a state's service answers; {} where nothing reads it."""
AFTER = {
    "RecordPartFailure": "GeneratePart",
    "RecordFailed": "PlanParts",
    "SendToDeadLetters": "PlanParts",
    "RecordLetterSent": "PlanParts",
}
"""States that are only reached when another has failed."""
WELL, UNFORESEEN = "well", "Unforeseen"


class Case(NamedTuple):
    state: str
    error: str
    edge: str

    @property
    def name(self) -> str:
        return f"{self.state}-{self.error}".replace(".", "-")


def cases() -> list[Case]:
    """A case for each Retry and Catch of each state that calls something."""
    found = []
    for state, definition in STATES.items():
        if definition["Type"] == "Task":
            for number, retry in enumerate(definition["Retry"]):
                found.append(Case(state, retry["ErrorEquals"][0], f"{state}@{number}"))
            for catch in definition.get("Catch", []):
                error = catch["ErrorEquals"][0]
                name = UNFORESEEN if error == "States.ALL" else error
                found.append(Case(state, name, f"{state} ! {catch['Next']}"))
    return found


def mocks() -> dict[str, Any]:
    """The emulator's SFN_MOCK_CONFIG: a test case for each of ours, and one in which nothing goes wrong."""
    tasks = [name for name, state in STATES.items() if state["Type"] == "Task"]
    well = {name: f"{name} answers" for name in tasks}
    responses = {well[name]: {"0-99": {"Return": ANSWERS.get(name, {})}} for name in tasks}
    tests = {WELL: well}
    for case in cases():
        fails = {case.state: case.error}
        if case.state in AFTER:
            fails[AFTER[case.state]] = UNFORESEEN
        tests[case.name] = well | {state: f"throws {error}" for state, error in fails.items()}
        thrown = {error: {"Throw": {"Error": error, "Cause": "{}"}} for error in fails.values()}
        responses |= {f"throws {error}": {"0-99": throw} for error, throw in thrown.items()}
    machines = {name: {"TestCases": tests} for name in ("workflow", "workflow/Parts")}
    return {"StateMachines": machines, "MockedResponses": responses}


@pytest.fixture(scope="module")
def mocked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """An emulator on which the workflow stands, its services mocked."""
    file: Path = tmp_path_factory.mktemp("mocks") / "mocks.json"
    file.write_text(json.dumps(mocks()))
    for cloud in running("all", SFN_MOCK_CONFIG=str(file), SFN_WAIT_SCALE="0.001"):
        bucket = cloud.bucket({"parts.json": [{"part": 0, "sources": [], "rows": 0}]})
        definition = Template().definition().replace(Template().name("ExportsBucket"), bucket)
        role = cloud.role(*EVERYTHING)
        cloud.client("stepfunctions").create_state_machine(name="workflow", definition=definition, roleArn=role)
        yield cloud


def way(cloud: Cloud, case: str, **more: bool) -> tuple[str, list[str]]:
    """How an execution in this case ended, and the paths that it and its children went."""
    arn = f"arn:aws:states:us-east-1:000000000000:stateMachine:workflow#{case}"
    described = cloud.ended(cloud.start(arn, {"owner": "HA#ann", "export_id": "one", "attempt": 1} | more))
    step_functions, execution = cloud.client("stepfunctions"), described["executionArn"]
    runs = step_functions.list_map_runs(executionArn=execution)["mapRuns"]
    children = [
        child["executionArn"]
        for run in runs
        for child in step_functions.list_executions(mapRunArn=run["mapRunArn"])["executions"]
    ]
    return described["status"], [path(MACHINE, cloud.history(each)) for each in (execution, *children)]


def test_whatever_happens_the_emulator_walks_on_as_defined(mocked: Cloud) -> None:
    ways = []
    for case in [None, *cases()]:
        status, gone = way(mocked, case.name if case else WELL, **({"query": True} if case else {}))
        if case:
            assert any(walked(each)[case.edge] for each in gone), (case, gone)
        last = gone[0].split()[-1]
        assert case or status == "SUCCEEDED", f"ANSWERS lacks what {last} reads of its service's answer"
        assert (status == "SUCCEEDED") == (STATES[last.split("@")[0]]["Type"] == "Succeed"), (case, status, gone)
        ways += gone
    counts = [walked(each) for each in ways]
    assert faults(MACHINE, counts) == []
    assert set().union(*counts) == set(edges_of(MACHINE))
