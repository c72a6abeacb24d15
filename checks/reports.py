"""Reads each report as the functions do, and checks it against its declared source columns."""

import datetime
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from checks import Fault, queries
from checks.repository import ROOT
from shared.catalogue import reports
from shared.engine import column_types, expressions
from shared.engine.query import Query
from shared.errors import ColumnMismatch, ExportError
from shared.lambda_.faults import Fault as PlacedFault
from shared.lambda_.faults import tokens

FOLDER = ROOT / "reports"
# A value of each parameter type, so that the checks can compare types.
_SAMPLES = {"string": "", "integer": 0, "number": 0.5, "boolean": False, "date": datetime.date(2000, 1, 1).isoformat()}


def faults(folder: Path) -> list[Fault]:
    """Everything that would prevent an export of a report, with file and line."""
    files = sorted(folder.glob("*.y*ml"))
    return [*(fault for file in files for fault in _faults(file)), *_orphans(folder, files)]


def _faults(file: Path) -> list[Fault]:
    name, text = f"reports/{file.name}", file.read_text("utf-8")
    if file.suffix != ".yaml":
        return [Fault(name, 1, "the file name", "must end in .yaml", "Rename the file")]
    try:
        report = reports.parse(file.stem, text, lambda each: (file.parent / each).read_text("utf-8"))
        _check(expressions.checked(report))
    except ExportError as error:
        return _placed(name, text, error.faults) if error.faults else [_unplaced(name, file, error)]
    in_sql, in_definition = queries.faults(report)
    sql = f"reports/{report.definition['source'].get('sql')}"
    found = [Fault(sql, each.line, "the query", each.detail, _remedy(each.allowed)) for each in in_sql]
    return [*found, *_placed(name, text, in_definition)]


def _placed(name: str, text: str, found: Sequence[PlacedFault]) -> list[Fault]:
    """Faults of a definition, each with the line of its pointer."""
    return [
        Fault(
            name, _line(text, each["pointer"]), each["pointer"] or "the file", each["detail"], _remedy(each["allowed"])
        )
        for each in found
    ]


def _remedy(allowed: str) -> str:
    return f"Allowed: {allowed}" if allowed else ""


def _orphans(folder: Path, files: list[Path]) -> list[Fault]:
    """The files of SQL that no report names. They would be deployed with the reports, and nothing would run them."""
    named = {name for file in files for name in re.findall(r"[A-Za-z0-9_.-]+", file.read_text("utf-8"))}
    return [
        Fault(f"reports/{file.name}", 1, "the file", "no report names it", "Name it in source.sql, or remove it")
        for file in sorted(folder.glob("*.sql"))
        if file.name not in named
    ]


def _check(definition: dict[str, Any]) -> None:
    parameters = definition.get("parameters", {})
    samples = {name: _SAMPLES[rule["type"]] for name, rule in parameters.items()}
    arguments = {name: [each] if reports.takes_list(parameters[name]) else each for name, each in samples.items()}
    query = Query.of(definition, arguments, "tenant")
    if query.declared and (misfits := query.misfits(column_types.schema(query.declared))):
        raise ColumnMismatch("", misfits)


def _line(text: str, pointer: str) -> int:
    """The line of what the JSON pointer names, or of the nearest enclosing element."""
    node: Any = yaml.compose(text, yaml.SafeLoader)
    line = node.start_mark.line if node else 0
    for token in tokens(pointer):
        if isinstance(node, yaml.SequenceNode):
            children = [(each, each) for each in node.value[int(token) :]]
        else:
            children = (
                [each for each in node.value if each[0].value == token] if isinstance(node, yaml.MappingNode) else []
            )
        if not children:
            break
        key, node = children[0]
        line = key.start_mark.line
    return int(line) + 1


def _unplaced(name: str, file: Path, error: ExportError) -> Fault:
    """The fault of a file with a wrong name, or of one that is not YAML; the YAML parser gives the line."""
    cause, line = error.__cause__, 1
    if isinstance(cause, yaml.MarkedYAMLError) and (mark := cause.problem_mark or cause.context_mark):
        line = mark.line + 1
        remedy = cause.note or "Correct the line"
        return Fault(name, line, "the file", f"is not YAML: {cause.problem or cause.context}", remedy)
    return Fault(name, line, "the file", str(error).removeprefix(f"{file.name}: "), "Correct it")
