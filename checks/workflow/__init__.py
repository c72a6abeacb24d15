"""Checks the state machine before it is deployed."""

import json

import yaml

from checks import Fault, recipes, repository
from checks.repository import ROOT, Document
from checks.workflow import flow, limits, machine, permissions, routes, table
from checks.workflow.machine import Machine


def faults() -> list[Fault]:
    """The faults of the workflow."""
    from checks.workflow import tools  # cfn-lint takes two seconds to import

    definition, described = ((ROOT / name).read_text("utf-8") for name in (machine.FILE, table.FILE))
    try:
        read = Machine(definition, repository.read("template.yaml"))
    except yaml.YAMLError:
        return []  # the template check reports it
    except json.JSONDecodeError as error:
        return [_no_json(error)]
    except LookupError:
        return [_no_machine()]
    # Our rules rely on the structure that cfn-lint checks; asl-validator would repeat their findings less clearly.
    return tools.cfn_lint(read) or _rules(read, described) or tools.asl_validator(read)


def faults_of(definition: str, template: Document, described: str) -> list[Fault]:
    """The faults that our own rules find in a definition, its template, and the text that describes it."""
    try:
        return _rules(Machine(definition, template), described)
    except json.JSONDecodeError as error:
        return [_no_json(error)]
    except LookupError:
        return [_no_machine()]


def _rules(read: Machine, described: str) -> list[Fault]:
    found = [fault for each in (limits, routes, flow, permissions) for fault in recipes.of(each.faults, read)]
    return sorted([*found, *recipes.of(table.faults, read, described)])


def _no_json(error: json.JSONDecodeError) -> Fault:
    remedy = "Correct it; only a ${…} of a parameter with a numeric default may be without quotes"
    return Fault(machine.FILE, error.lineno, "definition", f"is not JSON: {error.msg}", remedy)


def _no_machine() -> Fault:
    wrong = f"no state machine has the DefinitionUri {machine.FILE}"
    return Fault("template.yaml", 1, "Resources", wrong, "Set the DefinitionUri of the state machine to it")
