"""The catalogue of reports: each ``<report>.yaml`` of the reports layer. Loading checks it."""

import datetime
import json
import math
import os
import re
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, cast

import yaml

from shared.catalogue import choices
from shared.errors import InvalidDefinition, ParametersRefused, UnknownReport
from shared.lambda_.contract import faults
from shared.lambda_.faults import Fault, pointer, sentence, tokens

_SCHEMA = json.loads((Path(__file__).parent / "report.schema.json").read_text("utf-8"))
_NAME = re.compile(r"[a-z][a-z0-9-]{0,63}")
_JSON_TYPES = {"string": "string", "integer": "integer", "number": "number", "boolean": "boolean", "date": "string"}
_TEXT_LIMIT = 256
_MOST_VALUES = 100
_NUMERIC = ("integer", "number", "decimal")
# The ranges of the engine: 64-bit integers and doubles.
_LIMITS = {"integer": (-(2**63), 2**63 - 1), "number": (-sys.float_info.max, sys.float_info.max)}
_TYPES_OF_OPERATORS = {"contains": "string", "is null": "boolean"}
_KINDS = {
    bool: "a boolean",
    dict: "an object",
    list: "a list",
    type(None): "null, because # starts a comment and null is not text",
}
"""What YAML reads text without quotes as; anything else is a number."""
_NUMBERS = {
    "int": re.compile(r"[-+]?(?:0|[1-9][0-9_]*)\Z"),
    "float": re.compile(
        r"(?:[-+]?(?:(?:0|[1-9][0-9_]*)\.[0-9_]*|\.[0-9][0-9_]*)(?:[eE][-+][0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))\Z"
    ),
}
_MERGE = "tag:yaml.org,2002:merge"


@dataclass(frozen=True)
class Report:
    """A report: its id (the name of its file), its definition (report.schema.json), and the SQL of a query."""

    id: str
    definition: dict[str, Any]
    sql: str = ""

    @property
    def parameters_schema(self) -> dict[str, Any]:
        """The JSON Schema (draft 2020-12) of ``parameters`` in a request."""
        parameters = self.definition.get("parameters", {})
        return {
            "type": "object",
            "additionalProperties": False,
            "properties": {name: _json_schema(parameter) for name, parameter in parameters.items()},
            "required": [name for name, parameter in parameters.items() if parameter.get("required")],
        }

    def resolve(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """The parameters, with defaults for those that are not set."""
        declared = self.definition.get("parameters", {})
        defaults = {name: parameter["default"] for name, parameter in declared.items() if "default" in parameter}
        return defaults | parameters

    def queries(self, sort: list[choices.Key] | None) -> bool:
        """Whether an export runs a query before it is planned.

        Args:
            sort: of the request; None if it chose none.
        """
        ordered = "sort" in self.definition or "limit" in self.definition or sort is not None
        return ordered or self.definition["source"]["type"] == "query"

    def require(
        self,
        parameters: dict[str, Any],
        columns: list[str] | None,
        sort: list[choices.Key] | None,
        *,
        queries: bool,
    ) -> None:
        """Checks that the report still accepts an export: its definition may have changed since the request.

        Args:
            parameters: of the export's record, like the other arguments.
            columns: None if the request chose none.
            sort: None if the request chose none.
            queries: whether the export runs a query.

        Raises:
            ParametersRefused: with every fault.
        """
        found = self.faults(parameters) + choices.faults(self.definition, columns, sort)
        if found:
            raise ParametersRefused("; ".join(sentence(fault) for fault in found))
        if queries != self.queries(sort):
            change = "no longer runs a query" if queries else "now runs a query"
            raise ParametersRefused(f"the report has changed since the request and {change}")

    def faults(self, parameters: object) -> list[Fault]:
        """Every fault of a request's parameters; pointers are relative to the parameters."""
        schema_faults = faults(self.parameters_schema, parameters)
        return schema_faults or self._span_faults(self.resolve(parameters))  # type: ignore[arg-type]

    def _span_faults(self, parameters: dict[str, Any]) -> list[Fault]:
        span_faults = []
        for span in self.definition.get("spans", []):
            first, last = (parameters.get(span[end]) for end in ("first", "last"))
            if first is None or last is None:
                continue
            days = (datetime.date.fromisoformat(last) - datetime.date.fromisoformat(first)).days + 1
            if days < 1:
                detail, allowed = f"{last} is before {span['first']} {first}", f"{first} or later"
            elif days > span["at_most_days"]:
                end = datetime.date.fromisoformat(first) + datetime.timedelta(days=span["at_most_days"] - 1)
                detail = f"{first} to {last} is {days} days"
                allowed = f"at most {span['at_most_days']} days, up to {end}"
            else:
                continue
            span_faults.append(Fault(pointer=pointer(span["last"]), detail=detail, allowed=allowed))
        return span_faults


class _Loader(yaml.SafeLoader):
    """A YAML loader that refuses duplicate keys, of which PyYAML would silently keep only the last.

    Dates, ``=``, and numbers that YAML 1.1 would read in base 8, 16 or 60 stay text.
    """

    yaml_implicit_resolvers = {  # noqa: RUF012 - PyYAML defines it so
        first: [(tag, rule) for tag, rule in rules if tag.rpartition(":")[2] not in ("timestamp", "value", *_NUMBERS)]
        for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def fetch_tag(self) -> None:
        """Refuses ``!``: reports have no tags, and YAML would drop a lone ``!`` from the start of a text."""
        raise yaml.scanner.ScannerError(None, None, "! starts a tag, and a report has no tags", self.get_mark())

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Refuses duplicate keys (merged keys, ``<<``, may be overridden) and keys that are the rest of a cut value."""
        _refuse_cut_values(node)
        keys = [key for key, _ in node.value if isinstance(key, yaml.ScalarNode) and key.tag != _MERGE]
        for index, key in enumerate(keys):
            if key.value in [each.value for each in keys[:index]]:
                message = f"duplicate key {key.value!r}"
                raise yaml.constructor.ConstructorError(None, None, message, key.start_mark)
        return super().construct_mapping(node, deep)

    def construct_number(self, node: yaml.ScalarNode) -> float:
        """Refuses numbers that JSON, and so a schema, cannot represent."""
        try:
            number: float = (self.construct_yaml_int if node.tag.endswith("int") else self.construct_yaml_float)(node)
        except ValueError:  # Python refuses to convert so many digits
            number = math.inf
        if isinstance(number, float) and not math.isfinite(number):
            message = f"{node.value[:40]} is not a finite number"
            raise yaml.constructor.ConstructorError(None, None, message, node.start_mark)
        return number


# Registered again for this class, because a library may have changed it for every SafeLoader.
cast(Any, _Loader).add_constructor("tag:yaml.org,2002:map", yaml.SafeLoader.construct_yaml_map)
for _kind, _rule in _NUMBERS.items():
    cast(Any, _Loader).add_constructor(f"tag:yaml.org,2002:{_kind}", _Loader.construct_number)
    cast(Any, _Loader).add_implicit_resolver(f"tag:yaml.org,2002:{_kind}", _rule, list("-+0123456789."))


def _refuse_cut_values(node: yaml.MappingNode) -> None:
    """Refuses a value that a comma within braces cuts: the text after the comma is the rest of the value, not a key."""
    cut = [
        bool(node.flow_style and value.start_mark.index == value.end_mark.index and value.value == "")
        for _, value in node.value
    ]
    if not any(cut[1:]) or cut[0]:
        return
    first = cut.index(True)
    last = next((index for index in range(first, len(cut)) if not cut[index]), len(cut)) - 1
    (name, value), (rest, _), (end, _) = (node.value[index] for index in (first - 1, first, last))
    text = value.start_mark.buffer[value.start_mark.pointer : end.end_mark.pointer]
    raise yaml.constructor.ConstructorError(
        None,
        None,
        f"a comma ends a value within braces, and {rest.value!r} after the comma has no value",
        rest.start_mark,
        _put_in_quotes(name.value, text),
    )


def _put_in_quotes(name: str, text: str) -> str:
    quoted = "'{}'".format(text.replace("'", "''")) if set(text) & set('"\\') else f'"{text}"'
    return f"Put it in quotes: {name}: {quoted}"


def _advise(text: str, error: yaml.MarkedYAMLError) -> None:
    """Adds to a YAML error how to quote a value in its line, if the quotes make the line valid.

    A ``#`` that starts a value within braces hides the closing brace. YAML then blames a later line.
    """
    if error.note:
        return
    lines = text.splitlines()
    for mark in (error.context_mark, error.problem_mark):
        if mark is None or mark.line >= len(lines):
            continue
        names = [each for each in re.finditer(r"([\w-]+): +", lines[mark.line]) if each.end() <= mark.column]
        if names and (advice := _quoting(lines, mark.line, names[-1], mark.line)):
            error.note = advice
            return
    bad = _first_bad_line(text)
    for number, line in enumerate(lines):
        hidden = re.search(r"(?<=[{ ])([\w-]+): +(?=#)", line)
        if hidden and "{" in line[: hidden.start()] and (advice := _quoting(lines, number, hidden, bad)):
            error.problem, error.problem_mark = "# starts a comment", yaml.Mark("", 0, number, hidden.end(), None, 0)
            error.note = advice
            return


def _quoting(lines: list[str], number: int, name: re.Match[str], bad: float) -> str:
    """How to quote the value after a name, if the first bad line then comes after ``bad``; otherwise nothing."""
    line, start = lines[number], name.end()
    ends = [each.start() for each in re.finditer(r" *([,}]|$)", line) if each.start() > start]
    for end in ends if "{" in line[:start] else ends[-1:]:
        advice = _put_in_quotes(name[1], line[start:end])
        quoted = line[:start] + advice.removeprefix(f"Put it in quotes: {name[1]}: ") + line[end:]
        if _first_bad_line("\n".join([*lines[:number], quoted, *lines[number + 1 :]])) > bad:
            return advice
    return ""


def _first_bad_line(text: str) -> float:
    try:
        yaml.load(text, _Loader)  # noqa: S506 - a safe loader
    except yaml.MarkedYAMLError as error:
        return min((mark.line for mark in (error.context_mark, error.problem_mark) if mark), default=0)
    return math.inf


def load(folder: Path) -> dict[str, Report]:
    """Every report of a folder, by id.

    Raises:
        InvalidDefinition: with the file and every fault in it.
    """
    return {
        path.stem: parse(path.stem, path.read_text("utf-8"), lambda name: (folder / name).read_text("utf-8"))
        for path in sorted(folder.glob("*.yaml"))
    }


def _no_file(name: str) -> str:
    raise FileNotFoundError(name)


def parse(report: str, text: str, read: Callable[[str], str] = _no_file) -> Report:
    """One report from the text of its file.

    Args:
        read: returns the text of a file beside it: the SQL of a query. Raises OSError or KeyError without such a file.

    Raises:
        InvalidDefinition: with the report and every fault in it.
    """
    if not _NAME.fullmatch(report):
        raise InvalidDefinition(f"{report}.yaml: the file name of a report must match {_NAME.pattern}.yaml")
    try:
        definition = yaml.load(text, _Loader)  # noqa: S506 - a safe loader
    except yaml.YAMLError as error:
        if isinstance(error, yaml.MarkedYAMLError):
            _advise(text, error)
        raise InvalidDefinition(f"{report}.yaml is not valid YAML: {error}") from error
    if re.search("[\ud800-\udfff]", json.dumps(definition, ensure_ascii=False, default=str)):
        raise InvalidDefinition(f"{report}.yaml has a lone surrogate (\\ud800 to \\udfff), which is not a character")
    definition_faults = faults(_SCHEMA, definition) or _contradictions(definition)
    definition_faults = [_hinted(definition, fault) for fault in definition_faults]
    sql = ""
    if not definition_faults and definition["source"]["type"] == "query":
        name = definition["source"]["sql"]
        try:
            sql = read(name)
        except (OSError, KeyError):
            detail = f"there is no file {name} beside the report"
            definition_faults.append(Fault(pointer=pointer("source", "sql"), detail=detail, allowed="an existing file"))
        except UnicodeDecodeError:
            detail = f"{name} is not text in UTF-8"
            definition_faults.append(Fault(pointer=pointer("source", "sql"), detail=detail, allowed="a file in UTF-8"))
    if definition_faults:
        message = "; ".join(sentence(fault) for fault in definition_faults)
        raise InvalidDefinition(f"{report}.yaml: {message}", definition_faults)
    return Report(report, definition, sql)


@cache
def deployed() -> dict[str, Report]:
    """The reports of this deployment, from the folder REPORTS_FOLDER (the reports layer)."""
    return load(Path(os.environ["REPORTS_FOLDER"]))


def report(name: str) -> Report:
    """A deployed report by id.

    Raises:
        UnknownReport: with the names of the existing reports.
    """
    reports = deployed()
    if name not in reports:
        raise UnknownReport(f"there is no report {name!r}; the reports are: {', '.join(reports)}")
    return reports[name]


def _json_schema(parameter: dict[str, Any]) -> dict[str, Any]:
    """JSON Schema of a parameter's value; for the operator ``in`` a list of values."""
    annotations = {rule: parameter[rule] for rule in ("title", "description", "default") if rule in parameter}
    one = _of_one_value(parameter)
    if not takes_list(parameter):
        return annotations | one
    return annotations | {"type": "array", "items": one, "minItems": 1, "maxItems": _MOST_VALUES, "uniqueItems": True}


def takes_list(parameter: dict[str, Any]) -> bool:
    """Whether the parameter's value is a list."""
    return _operator(parameter) == "in"


def _operator(parameter: dict[str, Any]) -> str:
    """The operator of a parameter's filter; "" for a parameter of a query, which has no filter."""
    return str(parameter.get("filter", {}).get("operator", ""))


def _of_one_value(parameter: dict[str, Any]) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": _JSON_TYPES[parameter["type"]]}
    if parameter["type"] == "date":
        schema["format"] = "date"
    if parameter["type"] == "string":
        schema["maxLength"] = _TEXT_LIMIT
        if _operator(parameter) == "contains":  # every text contains the empty text, but null does not
            schema["minLength"] = 1
    if parameter["type"] in _LIMITS:
        low, high = _LIMITS[parameter["type"]]
        schema["minimum"] = max(low, parameter.get("minimum", low))
        schema["maximum"] = min(high, parameter.get("maximum", high))
    for rule in ("pattern", "enum"):
        if rule in parameter and (rule == "enum" or parameter["type"] == "string"):
            schema[rule] = parameter[rule]
    return schema


def _hinted(definition: Any, fault: Fault) -> Fault:
    """Adds a hint to a fault whose value YAML does not read as text because it has no quotes."""
    value, path = definition, tokens(fault["pointer"])
    for token in path:
        if isinstance(value, list):
            value = value[int(token)]
        else:
            value = {str(key): each for key, each in value.items()}.get(token) if isinstance(value, dict) else None
    read = ""
    if fault["detail"] == "is missing":
        return fault
    if isinstance(value, dict) and any(not isinstance(key, str) for key in value):
        read = "YAML does not read yes, no, on, off and digits as names"
    elif path[-1:] == ["operator"] and value == "":
        read = "> starts a multi-line text in YAML"
    elif not isinstance(value, str) and (
        "type string" in fault["allowed"] or (path == ["tenant"] and not isinstance(value, dict))
    ):
        read = f"YAML reads it as {_KINDS.get(type(value), 'a number')}"
    return fault | {"allowed": f"{fault['allowed']}; {read}: put it in quotes"} if read else fault


def _of_decimals(columns: dict[str, str], *where: str) -> list[Fault]:
    """The decimals among declared columns that have more decimal places than digits."""
    found = []
    for name, declared in columns.items():
        precision, scale = (int(digits) for digits in re.findall(r"\d+", declared)) if "decimal" in declared else (0, 0)
        if scale > precision:
            detail, allowed = (
                f"{declared} has more decimal places than digits",
                f"decimal({precision},0) to ({precision},{precision})",
            )
            found.append(Fault(pointer=pointer(*where, name), detail=detail, allowed=allowed))
    return found


def _alike(names: Iterable[str], *where: str, in_list: bool = False) -> list[Fault]:
    """Names that differ only in their case, which SQL does not distinguish."""
    found, known = [], dict[str, str]()
    for at, name in enumerate(names):
        if (first := known.setdefault(name.lower(), name)) != name:
            detail = f"{name} and {first} are one name in SQL"
            place = pointer(*where, at if in_list else name)
            found.append(Fault(pointer=place, detail=detail, allowed="names that differ in a letter"))
    return found


def _of_query(definition: dict[str, Any]) -> list[Fault]:
    """The contradictions of a query: whose rows each dataset holds, and what its SQL says instead of the definition."""
    found = []
    if "tenant" in definition:
        detail, allowed = "a query has a tenant for each of its datasets", "source.datasets.<name>.tenant"
        found.append(Fault(pointer="/tenant", detail=detail, allowed=allowed))
    datasets = definition["source"]["datasets"]
    found += _alike(datasets, "source", "datasets")
    for name, dataset in datasets.items():
        where = ("source", "datasets", name)
        found += _alike(dataset["columns"], *where, "columns")
        found += _of_decimals(dataset["columns"], *where, "columns")
        tenant = dataset.get("tenant")
        if (tenant is None) != ("shared" in dataset):
            detail = "has both tenant and shared" if tenant else "does not say whose rows the dataset holds"
            allowed = "either tenant: <column of the tenant>, or shared: true if every tenant may read every row"
            found.append(Fault(pointer=pointer(*where), detail=detail, allowed=allowed))
        elif tenant and dataset["columns"].get(tenant) not in ("string", "integer"):
            declared = dataset["columns"]
            wrong = declared.get(tenant)
            detail = f"{tenant} is declared as {wrong} in columns" if wrong else f"columns does not declare {tenant}"
            fitting = [each for each, kind in declared.items() if kind in ("string", "integer")]
            allowed = f"a column of type string or integer{': ' if fitting else ''}{', '.join(fitting)}"
            found.append(Fault(pointer=pointer(*where, "tenant"), detail=detail, allowed=allowed))
    for name, parameter in definition.get("parameters", {}).items():
        if "filter" in parameter:
            detail, allowed = "a query has no filters", f"${name} in the SQL, or in a where of a dataset"
            found.append(Fault(pointer=pointer("parameters", name, "filter"), detail=detail, allowed=allowed))
    found += _alike((column["name"] for column in definition["columns"]), "columns", in_list=True)
    for index, column in enumerate(definition["columns"]):
        for key in ("expression", "optional"):
            if key in column:
                detail = f"a column of a query has no {key}"
                allowed = f"a column {column['name']} in the SQL's SELECT"
                found.append(Fault(pointer=pointer("columns", index, key), detail=detail, allowed=allowed))
    return found


def _contradictions(definition: dict[str, Any]) -> list[Fault]:
    """Faults that a schema cannot find: unknown references, duplicate names, defaults that are not allowed."""
    contradictions = []
    parameters = definition.get("parameters", {})
    dates = [
        name for name, parameter in parameters.items() if parameter["type"] == "date" and not takes_list(parameter)
    ]
    for index, span in enumerate(definition.get("spans", [])):
        for end in ("first", "last"):
            if span[end] not in dates:
                allowed = "one of the date parameters: " + ", ".join(dates)
                detail = f"{span[end]!r} is not a date parameter"
                contradictions.append(Fault(pointer=pointer("spans", index, end), detail=detail, allowed=allowed))
    if definition["source"]["type"] == "query":
        contradictions += _of_query(definition)
    tenant = definition.get("tenant", "")
    declared = definition["source"].get("columns", {}).get(str(tenant), "string")
    if definition["source"]["type"] == "dynamodb" and declared != "string":
        detail = f"is declared as {declared}, but DynamoDB compares it with text"
        contradictions.append(Fault(pointer="/tenant", detail=detail, allowed="an attribute of text"))
    if definition["source"]["type"] == "dynamodb" and isinstance(tenant, dict):
        detail = "is an expression, but DynamoDB cannot filter by an expression"
        contradictions.append(Fault(pointer="/tenant", detail=detail, allowed="an attribute of text"))
    for name, (low, high) in definition["source"].get("bounds", {}).items():
        where = pointer("source", "bounds", name)
        if name == tenant:
            contradictions.append(
                Fault(pointer=where, detail="is the tenant, which cannot have bounds", allowed="other integer columns")
            )
        if low > high:
            contradictions.append(
                Fault(pointer=where, detail=f"{low} is greater than {high}", allowed="the minimum, then the maximum")
            )
    contradictions += _of_decimals(definition["source"].get("columns", {}), "source", "columns")
    for name, parameter in parameters.items():
        where, schema, one = pointer("parameters", name), _json_schema(parameter), _of_one_value(parameter)
        low, high = one.get("minimum", 0), one.get("maximum", 0)
        if low > high:
            detail = f"{low} is greater than the maximum"
            contradictions.append(Fault(pointer=f"{where}/minimum", detail=detail, allowed=f"at most {high}"))
        for rule in ("minimum", "maximum", "pattern"):
            if rule in parameter and rule not in one:
                detail = f"has no meaning for a parameter of type {parameter['type']}"
                allowed = "type: string" if rule == "pattern" else f"type: {' or '.join(_LIMITS)}"
                contradictions.append(Fault(pointer=f"{where}/{rule}", detail=detail, allowed=allowed))
        for index, item in enumerate(parameter.get("enum", [])):
            rules = {rule: allowed for rule, allowed in one.items() if rule != "enum"}
            contradictions += [fault | {"pointer": f"{where}/enum/{index}"} for fault in faults(rules, item)]
        operator = _operator(parameter)
        if parameter["type"] != (required := _TYPES_OF_OPERATORS.get(operator, parameter["type"])):
            detail = f"{operator} requires type: {required}, but the parameter has type: {parameter['type']}"
            contradictions.append(Fault(pointer=f"{where}/filter/operator", detail=detail, allowed=f"type: {required}"))
        if "default" not in parameter:
            continue
        if parameter.get("required"):
            detail = "is never used, because the parameter is required"
            contradictions.append(
                Fault(pointer=f"{where}/default", detail=detail, allowed="either required or default")
            )
        for fault in faults(schema, parameter["default"]):
            contradictions.append(fault | {"pointer": f"{where}/default{fault['pointer']}"})
    for index, column in enumerate(definition["columns"]):
        if "format" in column and column["type"] not in _NUMERIC:
            detail = f"a column of type {column['type']} is not shown as a number"
            allowed = f"columns of type {', '.join(_NUMERIC)}"
            contradictions.append(Fault(pointer=pointer("columns", index, "format"), detail=detail, allowed=allowed))
    for key in ("name", "title"):  # a file may use either as column headers
        values = [column[key] for column in definition["columns"]]
        for index, value in enumerate(values):
            if value in values[:index]:
                where = pointer("columns", index, key)
                contradictions.append(
                    Fault(pointer=where, detail=f"duplicate {key} {value!r}", allowed=f"a unique {key}")
                )
    if definition["source"]["type"] == "parquet" and choices.RULES & definition.keys():  # it may run as a query
        contradictions += _alike(definition["source"].get("columns", {}), "source", "columns")
    return contradictions + choices.contradictions(definition)
