"""What the documentation tells people to type and to expect is there: links, commands, options, outputs, counts."""

from __future__ import annotations

import ast
import io
import re
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import click
import jmespath
import pytest
from botocore import xform_name

from exports_admin import sample_data
from exports_admin.commands import exports_admin
from exports_cli.commands import exports
from shared.catalogue import reports
from shared.engine import planning
from shared.engine.query import Query
from shared.engine.sources import parquet
from shared.errors import SourceUnreadable
from shared.files.formats import FORMATS
from tests.unit.support import ROOT, template

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.unit.lake import Lake

PAGES = [ROOT / "README.md", ROOT / "AGENTS.md", *sorted((ROOT / "docs").rglob("*.md"))]
FIRST_DEPLOY = (ROOT / "docs" / "aws-first-deploy.md").read_text("utf-8")
OPERATIONS = (ROOT / "docs" / "operations.md").read_text("utf-8")
OWN = {"bin/exports-admin": exports_admin, "bin/exports": exports}
ALL_COMMANDS = {"--query", "--output", "--region"}
"""Options that the AWS CLI takes with every command."""
NO_API = {("cloudformation", "deploy")}
"""Commands that the AWS CLI puts together itself, besides all of `aws s3`."""


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@cache
def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives a page's headings."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.M | re.S), re.M)
    return {
        re.sub(r"[^\w -]", "", re.sub(r"\]\(.*?\)", "", title)).strip().lower().replace(" ", "-") for title in headings
    }


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_a_link_leads_to_a_file_and_to_a_heading_in_it(page: Path) -> None:
    for target in re.findall(r"\]\(((?!https?:|mailto:)[^)\s]+)\)", page.read_text("utf-8")):
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), target
        assert not anchor or anchor in anchors(file), target


def test_each_threat_names_the_tests_that_prove_its_answer_and_they_exist() -> None:
    page = (ROOT / "docs" / "security.md").read_text("utf-8")
    named = set(re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", page))
    for file, test in named:
        tree = ast.parse((ROOT / file).read_text("utf-8"))
        tests = {node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}
        assert test in tests | {""}, f"{file} has no {test}"
    threats = re.findall(r"^\| [STRIDE] \|.*$", page, re.M)
    assert len(threats) > 40
    assert [threat for threat in threats if "`tests/" not in threat.split("|")[-2]] == []
    assert page.count("`tests/") == len(re.findall(r"`tests/[\w/]+\.py(?:::\w+)?`", page)), "one is not written so"


def calls(program: str) -> Iterator[tuple[str, list[str]]]:
    """Each call of a program in the pages' shell blocks, those within $(…) too: the page's name, and the words."""
    for page in PAGES:
        for block in re.findall(r"^```sh\n(.*?)^```", page.read_text("utf-8"), re.M | re.S):
            lines = re.sub(r"\\\n\s*", "", block)
            for found in re.finditer(rf"(?<![\w/.`-]){re.escape(program)} ", lines):
                yield name(page), _words(lines[found.end() :])


def _words(rest: str) -> list[str]:
    """The words of a command up to its end, or to a comment; without the quotes around them."""
    words = []
    for space, word in re.findall(r"""([ \t]*)((?:'[^']*'|"(?:\\.|[^"\\])*"|[^\s'"();&|])+|.|\n)""", rest):
        if word[0] in "();&|\n" or (space and word[0] == "#"):
            break
        words.append(re.sub(r"""^(['"])(.*)\1$""", r"\2", word, flags=re.S))
    return words


def options(words: list[str]) -> set[str]:
    return {word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)}


@pytest.mark.parametrize("program", OWN)
def test_our_commands_and_their_options_are_those_that_there_are(program: str) -> None:
    found = list(calls(program))
    assert found
    for page, (command, *words) in found:
        if command.startswith("-") or not re.fullmatch(r"[a-z-]+", command):
            continue  # of the program itself, or a placeholder
        there = OWN[program].commands.get(command)
        assert isinstance(there, click.Command), (page, command)
        known = {option for each in there.params for option in (*each.opts, *each.secondary_opts)} | {"--help"}
        assert options(words) <= known, (page, command, options(words) - known)


def test_the_aws_cli_has_the_commands_options_and_queries() -> None:
    found = list(calls("aws"))
    assert len(found) > 20
    for page, (service, command, *words) in found:
        if service == "s3" or (service, command) in NO_API:
            continue
        client: Any = boto3.client({"s3api": "s3"}.get(service, service), region_name="us-east-1")  # type: ignore[call-overload]
        operations = {xform_name(each, "-"): each for each in client.meta.service_model.operation_names}
        if command == "wait":
            waiter, *words = words
            command = xform_name(client.get_waiter(waiter.replace("-", "_")).config.operation, "-")
        assert command in operations, (page, service, command)
        members = client.meta.service_model.operation_model(operations[command]).input_shape.members
        known = {f"--{xform_name(member, '-')}" for member in members} | ALL_COMMANDS
        assert options(words) <= known, (page, command, options(words) - known)
        for option, value in pairwise(words):
            if option == "--query":
                jmespath.compile(value)


def test_make_has_the_targets() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.M))
    for page, words in calls("make"):
        target = next(word for word in words if "=" not in word and not word.startswith("-"))
        assert target in targets, (page, target)


def test_the_stack_has_the_outputs_that_are_asked_for_and_keeps_what_the_page_says() -> None:
    asked = set(re.findall(r"output ([A-Z]\w+)", FIRST_DEPLOY + OPERATIONS))
    assert asked
    assert asked <= set(template()["Outputs"])
    kept = {name for name, each in template()["Resources"].items() if each.get("DeletionPolicy")}
    assert kept == {"ExportsTable", "ExportsBucket", "UserPool"}
    assert "The table, the bucket and the user pool outlive the stack" in OPERATIONS


def test_the_pages_name_every_role_that_reads_the_data_bucket() -> None:
    roles = {name: each for name, each in template()["Resources"].items() if each["Type"] == "AWS::IAM::Role"}
    readers = {name for name, each in roles.items() if "DataBucket" in str(each["Properties"])}
    guide, deploy = (
        (ROOT / "docs" / "howto" / f"{page}.md").read_text("utf-8") for page in ("bring-your-data", "deploy")
    )
    assert set(re.findall(r"LogicalResourceId=='(\w+)'", guide)) == readers
    for name in readers:
        placeholder = re.sub(r"(?<!^)(?=[A-Z])", "_", name).upper()
        assert guide.count(f":role/{placeholder}") == 3, name
        assert re.search(rf"must allow the roles of [^.]*\b{name.removesuffix('Role')}\b[^.]*to decrypt", deploy), name


def test_the_alarms_that_cost_and_our_metrics_are_counted_right() -> None:
    alarms = [each for each in template()["Resources"].values() if each["Type"] == "AWS::CloudWatch::Alarm"]
    always = [each for each in alarms if "Condition" not in each]
    assert {each.get("Condition") for each in alarms} == {None, "SendsMail"}
    assert f"| alarms | {len(alarms)} with `SenderEmail`, {len(always)} without |" in OPERATIONS
    metrics = [sum(max(1, str(each).count("MetricStat")) for each in some) for some in (alarms, always)]
    assert f"| {metrics[0] / 10:.2f}, or {metrics[1] / 10:.2f} |" in OPERATIONS


def test_the_prompts_of_a_guided_deployment_are_counted_right() -> None:
    prompts = 2 + len(template()["Parameters"]) + 6  # name and Region; change set, roles, rollback, what to save
    page = (ROOT / "docs" / "howto" / "deploy.md").read_text("utf-8")
    assert f"press Enter {prompts} times" in page
    assert f"which of the {prompts} prompts matter" in page


def test_the_broken_file_of_the_first_deployment_fails_in_a_part_and_not_in_planning(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (script,) = re.findall(r"^python3 -c '(from pathlib .*?)'$", FIRST_DEPLOY, re.M | re.S)
    monkeypatch.chdir(tmp_path)
    file = io.BytesIO()
    united = sample_data.read().filter(carrier="UA", month=7).drop("year", "month")
    united.write_parquet(file)
    Path("july.parquet").write_bytes(file.getvalue())
    exec(script, {})
    for source in ("july", "broken"):
        lake.objects[f"data/flights/year=2013/month=7/{source}.parquet"] = Path(f"{source}.parquet").read_bytes()
    report = reports.load(ROOT / "reports")["flights"]
    query = Query.of(report.definition, report.resolve({"from": "2013-07-01", "to": "2013-07-31"}), "UA")
    schema, extents = parquet.plan(query)
    first, *_ = planning.divide(extents, 5, FORMATS["csv"].growth)
    with pytest.raises(SourceUnreadable, match=r"broken\.parquet"):
        list(parquet.scan(query, {column: str(kind) for column, kind in schema.items()}, first["sources"]))
