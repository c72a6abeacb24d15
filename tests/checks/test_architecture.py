"""docs/architecture.md says of each function what the template does, and its diagrams are in Mermaid's language."""

import re
from functools import cache

import pytest

import generated
from architecture import checkout, document
from architecture.model import FUNCTIONS, Architecture
from checks.repository import ROOT
from tests.support.edits import TEMPLATE, inside


@cache
def now() -> Architecture:
    return checkout.current()


def section(text: str, name: str) -> str:
    """The section of a function or another resource."""
    return re.split(r"^##", text.split(f"\n### {name}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]


def test_the_page_is_committed_as_it_is_generated_and_any_change_of_the_template_makes_it_outdated() -> None:
    committed = (ROOT / "docs/architecture.md").read_text("utf-8")
    assert generated.DOCUMENTS["docs/architecture.md"]() == committed
    changed = Architecture(inside(TEMPLATE, "AssembleFile", "Timeout: 900\n", "Timeout: 600\n"), now().definitions)
    lines = {*document.text(changed).splitlines()} - {*committed.splitlines()}
    assert lines == {"- **Runs:** `assemble_file.app.handler`, 600 s, 1024 MB"}  # one line, so the diff reads well


@pytest.mark.parametrize("function", [each.name for each in now().of(*FUNCTIONS)])
def test_a_function_has_its_trigger_its_permissions_its_environment_its_failures_and_its_alarms(function: str) -> None:
    text = section(document.text(now()), function)
    properties = now().resources[function].properties
    assert "- **Triggers:**\n" in text
    assert text.count("**: `") == len(now().of_role(function))
    for statement in now().of_role(function):
        assert f"**{statement.sid}**: `{statement.actions[0]}`" in text
    assert {f"`{name}`" for name in properties["Environment"]["Variables"] if not name.startswith("POWERTOOLS")} <= {
        *re.findall(r"`\w+`", text)
    }
    assert "- **Failures:** " in text
    assert f"{function}ErrorsAlarm: " in text


def test_a_permission_has_the_comments_above_and_in_its_statement_as_its_reason() -> None:
    text = document.text(now())
    assert "`dynamodb:DeleteItem` on `ExportsTable.Arn`. Get finds the first use of an Idempotency-Key" in text
    assert "on `*`. X-Ray does not support resource-level permissions." in text
    assert "only if HasBucketKey). KMS checks the signer of a presigned URL too." in text


def test_who_may_call_a_route_is_said_and_why_everybody_may() -> None:
    assert "| `GET /exports` | ReadExports | a caller whom Users accepts |" in document.text(now())
    assert "| `GET /openapi.json` | ListReports | everybody: tools can read it;" in document.text(now())


def test_each_way_in_which_a_failure_goes_is_said() -> None:
    text = document.text(now())
    assert "retries × 4 and × 1; then any error → PlanPartsFailed" in section(text, "PlanParts")
    assert "the caller gets the error" in section(text, "ReadExports")
    assert "what still fails goes to Unreconciled" in section(text, "ReconcileExports")
    assert "after 5 receives goes to Unmailed" in section(text, "NotifyOwner")


@pytest.mark.parametrize("diagram", re.findall(r"```mermaid\n(.*?)```", document.text(now()), re.DOTALL))
def test_a_diagram_has_each_node_once_and_edges_only_between_nodes(diagram: str) -> None:
    nodes = re.findall(r'^ +(\w+)(?:\[\(|\[\[|\[|\{\{|\(\[)"[^"]*"(?:\)\]|\]\]|\]|\}\}|\]\))$', diagram, re.MULTILINE)
    edges = re.findall(r'^ +(\w+)(?:\(\["start"\]\))? (?:-->|-\.->)(?:\|"[^"]*"\|)? (\w+)$', diagram, re.MULTILINE)
    groups = diagram.count("subgraph ")
    assert len(nodes) == len({*nodes}) > 10
    assert {name for edge in edges for name in edge} - {"Start"} <= {*nodes}
    assert len(diagram.splitlines()) == 1 + len(nodes) + len(edges) + 2 * groups  # so nothing else is in it
    assert not {*map(str.lower, nodes)} & {"end", "graph", "subgraph", "class", "style"}
