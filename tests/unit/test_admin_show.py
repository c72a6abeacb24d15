"""The command `exports-admin show`: an attempt as text, as JSON, and on a page that no text can change."""

import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exports_admin import drawing, page
from tests.unit.cli_stack import Run
from tests.unit.support import EXPORT_ID, OWNER, Cloud, cancelled, failed, queued, succeeded
from tests.unit.test_admin import Admin, command_line
from tests.unit.test_admin_executions import (
    GIVEN,
    PLANNED,
    History,
    StepFunctions,
    definition,
    failed_in_a_part,
    failing_part,
    in_memory,
    part,
)
from tests.unit.test_admin_executions import succeeded as succeeds

admin = pytest.fixture(command_line)
past = pytest.fixture(in_memory)
SVG = "{http://www.w3.org/2000/svg}"


def shown(admin: Admin, *arguments: str) -> Any:
    ran = admin("show", EXPORT_ID, "--json", *arguments)
    assert (ran.code, ran.err) == (0, "")
    return json.loads(ran.out)


def broken(past: StepFunctions) -> None:
    """Part 1 of four failed; part 2 had been tried again, part 3 was stopped."""

    def children() -> None:
        past.child(0, part(0).passing(1))
        past.child(1, failing_part(1).passing(5), "FAILED")
        past.child(2, part(2, "SourceUnavailable", "SourceUnavailable").passing(8))
        past.child(3, History(part(3).given).enter("GeneratePart"), "ABORTED")

    failed_in_a_part(past, children)


# ── in the terminal ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_failed_attempt_has_its_states_and_parts_in_text_and_in_json(
    admin: Admin, past: StepFunctions, cloud: Cloud
) -> None:
    cloud.write(failed(state="GeneratePart", type="SourceUnreadable", part="1"))
    broken(past)
    assert admin("show", EXPORT_ID) == Run(
        0,
        f"""\
{EXPORT_ID} attempt 1 of {OWNER}: failed
  started 2026-11-23T09:12:31.482Z, took 3.500 s
  failed  in GeneratePart, part 1
  error   SourceUnreadable: A source file cannot be read
  detail  s3://bucket/a.parquet
  remedy  Replace the file that the detail names with a valid one. Then retry.
  export  flights, csv
  record  attempt 1 is FAILED

state              status        after     took  retries  error
RecordRunning      succeeded  +0.100 s  0.400 s
HasQuery           succeeded  +0.600 s  0.100 s
PlanParts          succeeded  +0.800 s  0.400 s
FanOutParts        caught     +1.300 s  0.300 s           States.ExceedToleratedFailureThreshold: exceeded
FanOutPartsFailed  succeeded  +1.700 s  0.100 s
RecordFailed       succeeded  +1.900 s  0.400 s
SendToDeadLetters  succeeded  +2.400 s  0.400 s
RecordLetterSent   succeeded  +2.900 s  0.400 s
ExportFailed       failed     +3.400 s  0.100 s

4 parts: 2 succeeded, 1 failed, 1 aborted; median 5.399 s; 1 retried (4 histories read)
First failed parts
  part  status     took  retries  error
     1  failed  6.199 s           SourceUnreadable: s3://bucket/a.parquet
Slowest parts
  part  status        took  retries  error
     2  succeeded  9.198 s        2  SourceUnavailable: s3://bucket/a.parquet
     1  failed     6.199 s           SourceUnreadable: s3://bucket/a.parquet
     0  succeeded  1.600 s
     3  aborted    0.197 s
""",
        "",
    )
    seen = shown(admin)
    names = "export_id attempt owner status started_at stopped_at seconds error states parts record hint"
    assert list(seen) == names.split()
    assert (seen["error"]["state"], seen["error"]["part"], seen["record"]["error"]["part"]) == ("GeneratePart", 1, 1)
    assert [state["name"] for state in seen["states"] if state["status"] == "caught"] == ["FanOutParts"]
    parts = seen["parts"]
    assert [(each["part"], each["retries"]) for each in parts["slowest"]] == [(2, 2), (1, 0), (0, 0), (3, 0)]
    assert parts["states"] == {"GeneratePart": "caught", "RecordPartFailure": "succeeded", "PartFailed": "failed"}


def test_a_success_is_shown_with_its_file(admin: Admin, past: StepFunctions, cloud: Cloud, time: Any) -> None:
    cloud.write(succeeded() | {"warning": "NoCellReferences"})
    succeeds(past)
    out = admin("show", EXPORT_ID).out
    assert out.startswith(f"{EXPORT_ID} attempt 1 of {OWNER}: succeeded\n")
    assert "  file    58,665 rows, 5,123,456 bytes, CRC-32 0badcafe\n  warning NoCellReferences\n" in out
    assert "3 parts: 3 succeeded; median 0.599 s; none retried (3 histories read)\n" in out
    assert "First failed parts" not in out


@pytest.mark.parametrize(
    ("items", "said"),
    [([queued(attempt=2)], "attempt 2 is QUEUED"), ([cancelled()], "attempt 1 is CANCELLED"), ([], "deleted")],
)
def test_the_record_is_shown_as_it_is_now(
    items: list[dict[str, Any]], said: str, admin: Admin, past: StepFunctions, cloud: Cloud
) -> None:
    cloud.write(*items)
    past.put(f"{EXPORT_ID}-1", History())
    assert f"  record  {said}\n" in admin("show", EXPORT_ID).out


@pytest.mark.parametrize(
    ("status", "error", "said"),
    [
        ("FAILED", ("States.Runtime", "no path"), "  error   States.Runtime: The state machine c"),
        ("TIMED_OUT", None, "  error   ExecutionTimedOut: The export took too long\n"),
        ("ABORTED", ("", "The export was cancelled."), "  stopped in PlanParts: The export was cancel"),
        ("RUNNING", None, ", running for "),
    ],
)
def test_the_end_of_an_attempt_is_explained(
    status: str, error: tuple[str, str] | None, said: str, admin: Admin, past: StepFunctions
) -> None:
    past.put(f"{EXPORT_ID}-1", History().direct("RecordRunning").enter("PlanParts").schedule(PLANNED), status, error)
    out = admin("show", EXPORT_ID).out
    assert said in out
    assert re.search(rf"^PlanParts +{status.lower().replace('_', ' ')} ", out, re.MULTILINE)


def test_a_fail_state_of_another_version_leaves_the_error_to_the_execution(admin: Admin, past: StepFunctions) -> None:
    past.put(f"{EXPORT_ID}-1", History().enter("Gone", "Fail", {"failure": "x"}), "FAILED", ("Boom", "because"))
    out = admin("show", EXPORT_ID).out
    assert "  failed  in Gone\n  error   Boom: An unexpected error occurred\n  detail  because\n" in out


def test_an_attempt_can_be_named(admin: Admin, past: StepFunctions) -> None:
    past.put(f"{EXPORT_ID}-1", History(), "TIMED_OUT")
    past.put(f"{EXPORT_ID}-2", History(GIVEN | {"attempt": 2}), "RUNNING")
    assert admin("show", EXPORT_ID).code == 0
    just_begun = shown(admin)
    assert (just_begun["attempt"], just_begun["states"]) == (2, [])
    assert shown(admin, "--attempt", "1")["status"] == "timed out"


def test_control_characters_do_not_reach_the_terminal(admin: Admin, past: StepFunctions) -> None:
    hostile = History().enter("PlanParts").schedule(PLANNED).fail("Bo\x1b[2Jom", "no")
    past.put(f"{EXPORT_ID}-1", hostile, "FAILED", ("Bo\x1b[2Jom", "no \x9b\n such"))
    out = admin("show", EXPORT_ID).out
    assert not {"\x1b", "\x9b"} & set(out)
    assert "  detail  no \ufffd such\n" in out


# ── as JSON, and of many parts ──────────────────────────────────────────────────────────────────────────────────────


def test_of_many_parts_few_histories_are_read(admin: Admin, past: StepFunctions) -> None:
    succeeds(past, parts=0)
    for number in range(500):
        slow = number * 0.001 if number < 495 else 100 + number
        past.child(number, part(number).passing(slow))
    seen = shown(admin)["parts"]
    assert (seen["total"], seen["succeeded"], seen["looked_at"]) == (500, 500, 20)
    assert [each["part"] for each in seen["slowest"]] == [499, 498, 497, 496, 495]
    assert seen["median_seconds"] == pytest.approx(0.6, abs=0.01)
    assert past.made.count("GetExecutionHistory") == 1 + 20
    assert past.made.count("DescribeMapRun") == 1


def test_of_many_that_failed_the_first_are_shown(admin: Admin, past: StepFunctions) -> None:
    def children() -> None:
        for number in range(40):
            past.child(number, failing_part(number), "FAILED")
        for number in range(40, 65):
            past.child(number, part(number).passing(100))

    failed_in_a_part(past, children)
    assert [each["part"] for each in shown(admin)["parts"]["failures"]] == [0, 1, 2, 3, 4]


def test_a_page_that_cannot_be_written_is_an_error(admin: Admin, past: StepFunctions, tmp_path: Path) -> None:
    past.put(f"{EXPORT_ID}-1", History())
    ran = admin("show", EXPORT_ID, "--html", str(tmp_path / "no" / "page.html"))
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.endswith("page.html': No such file or directory\n")
    ran = admin("show", EXPORT_ID, "--json", "--html", str(tmp_path / "page.html"))
    assert (ran.code, ran.err.splitlines()[-1]) == (2, "Error: Use either --json or --html.")
    assert not list(tmp_path.iterdir())


# ── the page ────────────────────────────────────────────────────────────────────────────────────────────────────────


def parsed(html: str) -> ElementTree.Element:
    """The page, which must be well-formed XML, load nothing and run nothing."""
    root = ElementTree.fromstring(html.removeprefix("<!DOCTYPE html>\n"))
    for element in root.iter():
        name = element.tag.rpartition("}")[2]
        assert name not in {"script", "link", "img", "iframe", "foreignObject", "a", "use", "image"}
        assert not [key for key in element.attrib if key.startswith("on") or key in {"src", "href", "style"}]
    assert "url(http" not in html
    assert "@import" not in html
    return root


def join(states: dict[str, Any], way: list[str]) -> None:
    """Lets each state lead to the next one: the history does not have the states that were added in between."""
    for name, following in pairwise(way):
        states[name]["Default" if "Default" in states[name] else "Next"] = following


def test_the_page_shows_the_way_of_the_attempt(admin: Admin, past: StepFunctions, tmp_path: Path) -> None:
    to_parts = ["RecordRunning", "HasQuery", "PlanParts", "FanOutParts"]
    failed = ["FanOutPartsFailed", "RecordFailed", "SendToDeadLetters", "RecordLetterSent", "ExportFailed"]
    ways = [to_parts + failed, ["GeneratePart", "RecordPartFailure", "PartFailed"]]
    broken(past)
    join(past.definition["States"], to_parts)
    file = tmp_path / "page.html"
    ran = admin("show", EXPORT_ID, "--html", str(file))
    assert (ran.code, ran.out, ran.err) == (0, "", f"{EXPORT_ID} attempt 1: failed\n")
    root = parsed(file.read_text("utf-8"))
    states = definition()["States"]
    reached = dict.fromkeys([*states, *states["FanOutParts"]["ItemProcessor"]["States"]], "not-reached")
    reached |= dict.fromkeys([*ways[0], *ways[1]], "succeeded") | {"FanOutParts": "caught", "GeneratePart": "caught"}
    boxes = {group.findtext(f"{SVG}text"): group.get("class") or "" for group in root.iter(f"{SVG}g")}
    shown = {name: kind.removeprefix("state ") for name, kind in boxes.items() if kind.startswith("state ")}
    assert shown == reached | {"PartFailed": "failed", "ExportFailed": "failed"}
    lines = [line for line in root.iter(f"{SVG}polyline") if "taken" in (line.get("class") or "")]
    errors = {"FanOutParts to FanOutPartsFailed", "GeneratePart to RecordPartFailure"}
    steps = [f"{one} to {other}" for each in ways for one, other in pairwise(each)]
    expected = [f"{step}, on an error" if step in errors else step for step in steps]
    assert sorted(line.findtext(f"{SVG}title") or "" for line in lines) == sorted(expected)
    assert "prefers-color-scheme: dark" in file.read_text("utf-8")


def seen(text: str) -> dict[str, Any]:
    """An attempt that failed, with a text wherever one may come from elsewhere."""
    error = {"type": text, "title": text, "detail": text, "state": text, "part": None, "retryable": False, "remedy": ""}
    timing: dict[str, Any] = {"seconds": 1.0, "retries": 0, "error": error}
    counts = dict.fromkeys(("succeeded", "failed", "timedOut", "aborted", "running", "pending", "total"), 1)
    one = timing | {"part": 1, "status": "failed"}
    parts = {"median_seconds": None, "looked_at": 1, "retried": 0, "slowest": [one], "failures": [one]}
    states = [timing | {"name": text, "kind": "Task", "status": "failed", "after": 0.0}]
    begun = {"started_at": "2026-11-23T09:12:31.482Z", "stopped_at": None, "seconds": 1.0, "record": None}
    shown = {"export_id": EXPORT_ID, "attempt": 1, "owner": text, "status": "failed", "error": error, "states": states}
    return begun | shown | {"parts": counts | parts | {"states": {}, "ways": []}}


HOSTILE = st.one_of(
    st.text(max_size=40),
    st.sampled_from(
        ["<script>alert(1)</script>", '"><svg onload="x">', "</style><b>", "&lt;", "]]>", "\x00\x1b\ud800"]
    ),
)


@given(text=HOSTILE, name=HOSTILE)
def test_no_name_or_text_changes_the_structure_of_the_page(text: str, name: str) -> None:
    machine = {"StartAt": name, "States": {name: {"Type": "Task", "Catch": [{"Next": "End"}]}, "End": {"Type": "Fail"}}}
    plain = parsed(page.render(machine, seen("x")))
    root = parsed(page.render(machine, seen(text)))
    assert [element.tag for element in root.iter()] in ([element.tag for element in plain.iter()],) or not text.split()


@given(st.integers(1, 9), st.data())
def test_no_boxes_overlap_and_no_arrow_crosses_a_box(size: int, data: st.DataObject) -> None:
    names = [f"S{number}" for number in range(size)]
    targets = st.sampled_from(names)
    states: dict[str, Any] = {}
    for name in names:
        catches = data.draw(st.lists(targets, max_size=2))
        states[name] = {"Type": "Task", "Next": data.draw(targets), "Catch": [{"Next": each} for each in catches]}
    made = drawing.layout({"StartAt": "S0", "States": states})
    boxes = list(made.boxes.values())
    assert sorted(made.boxes) == names
    for number, one in enumerate(boxes):
        for other in boxes[number + 1 :]:
            beside = one.x + one.width <= other.x or other.x + other.width <= one.x
            assert beside or one.y + one.height <= other.y or other.y + other.height <= one.y
    for way in made.arrows:
        for (x, y), (to_x, to_y) in pairwise(drawing._route(made, way)):
            assert x == to_x or y == to_y
            assert 0 <= to_x <= made.width
            for box in boxes:
                within = min(x, to_x) < box.x + box.width and max(x, to_x) > box.x
                assert not (within and min(y, to_y) < box.y + box.height and max(y, to_y) > box.y), (way, box)


def test_the_main_line_is_on_the_left_and_each_state_is_below_its_sources() -> None:
    made = drawing.layout(definition())
    main = [
        "RecordRunning",
        "HasQuery",
        "RunQuery",
        "PlanParts",
        "FanOutParts",
        "AssembleFile",
        "RecordSucceeded",
        "ExportSucceeded",
    ]
    assert [made.boxes[name].column for name in main] == [0] * 8
    errors = ["PlanPartsFailed", "RecordFailed", "SendToDeadLetters", "RecordLetterSent", "ExportFailed"]
    assert [made.boxes[name].column for name in errors] == [1] * 5
    assert all(made.boxes[way.source].layer < made.boxes[way.target].layer for way in made.arrows)
    assert made.lanes == ["Superseded", "PlanParts", "RecordFailed", "ExportFailed"]
