"""Checks the template as SAM deploys it, with this project's rules and third-party tools."""

import re
from collections.abc import Callable, Iterable

import yaml
from samtranslator.model.exceptions import InvalidDocumentException  # type: ignore[import-untyped]

from checks import Fault, recipes
from checks.repository import Document, read
from checks.template import doors, permissions, running, tools, wiring
from checks.template.stack import Stack

RULES: tuple[Callable[[Stack], Iterable[Fault]], ...] = (
    *wiring.RULES,
    *running.RULES,
    *doors.RULES,
    *permissions.RULES,
)
TOOLS = (tools.cfn_lint, tools.checkov)


def faults() -> list[Fault]:
    """The faults of the template."""
    try:
        return faults_of(read("template.yaml"), *RULES, *TOOLS)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        return [Fault("template.yaml", line, "the file", f"is not YAML: {error.problem}", "Correct it")]


def faults_of(document: Document, *rules: Callable[[Stack], Iterable[Fault]]) -> list[Fault]:
    """The faults that the rules find, each once, in the order of the file."""
    try:
        stack = Stack(document)
    except InvalidDocumentException as refusal:
        return [_refused(document, cause.message) for cause in refusal.causes]
    return sorted({fault for rule in rules or RULES for fault in recipes.of(rule, stack)})


def _refused(document: Document, message: str) -> Fault:
    named = re.search(r"with id \[(\w+)\]", message)
    place = named[1] if named else "Resources"
    line = document.line("Resources", place)
    return Fault(document.file, line, place, f"SAM rejects it: {message.rstrip('.')}", "Correct it")
