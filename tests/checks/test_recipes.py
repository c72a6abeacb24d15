"""Whoever reads a message of make check finds the page that says how to do it right."""

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import checks
from checks import Fault, __main__, documents, recipes, reports, repository, template, workflow
from checks.repository import ROOT
from checks.template import permissions, running
from tests.support import recipes as of_tests


def every() -> Iterator[Callable[..., Any]]:
    """The checks: what modules below checks/ call `faults`, or list as rules and tools."""
    for module in pkgutil.walk_packages(checks.__path__, "checks."):
        if not module.name.endswith("__main__"):
            each = importlib.import_module(module.name)
            found = [vars(each).get("faults"), *vars(each).get("RULES", ()), *vars(each).get("TOOLS", ())]
            yield from (check for check in found if check and check.__module__ == module.name)
    yield from (*template.TOOLS, documents.gateway_faults)


@pytest.mark.parametrize("check", [*every()], ids=lambda check: f"{check.__module__}.{check.__name__}")
def test_each_check_has_a_recipe(check: Callable[..., Any]) -> None:
    try:
        page = recipes.page(check)
    except KeyError:
        pytest.fail("Name its page in PAGES of checks/recipes.py.")
    assert (ROOT / "docs" / page).is_file(), page


@pytest.mark.parametrize("name", recipes.PAGES)
def test_what_has_a_recipe_is_there(name: str) -> None:
    module, _, check = name.rpartition(".")
    assert hasattr(importlib.import_module(module), check) or importlib.import_module(name)


@pytest.mark.parametrize("test", of_tests.PAGES)
def test_a_test_that_names_a_recipe_is_there_and_so_is_the_page(test: str) -> None:
    path = of_tests.TESTS / test
    assert path.exists()
    assert (ROOT / "docs" / str(of_tests.page(path / "of_it.py"))).is_file()


def test_the_closest_recipe_counts() -> None:
    assert recipes.page(running.queues) == "howto/add-a-queue-consumer.md"
    assert recipes.page(running.functions) == "howto/add-a-function.md"
    assert recipes.page(permissions.statements) == "howto/add-a-permission.md"
    found = recipes.of(lambda: [Fault("it.yaml", 1, "It", "is wrong", "Correct it", "howto/closer.md")])
    assert [fault.recipe for fault in found] == ["howto/closer.md"]


def test_a_message_ends_with_the_recipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(reports, "FOLDER", tmp_path)
    (tmp_path / "sales.yml").touch()
    assert __main__.main(["reports"]) == 1
    said = "reports/sales.yml:1: the file name: must end in .yaml. Rename the file. → docs/howto/add-a-report.md\n"
    assert capsys.readouterr().err == said


def test_each_fault_of_the_workflow_has_a_recipe() -> None:
    definition = (ROOT / "statemachines" / "report_export.asl.json").read_text("utf-8")
    assert "sqs:sendMessage" in definition
    deleting = definition.replace("sqs:sendMessage", "sqs:deleteMessage")
    found = workflow.faults_of(deleting, repository.read("template.yaml"), "")
    assert {fault.recipe for fault in found} == {"howto/add-a-state.md", "howto/add-a-permission.md"}
