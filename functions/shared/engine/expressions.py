"""The SQL expressions in a report's definition."""

import copy
from typing import Any

from shared.catalogue.reports import Report
from shared.errors import InvalidDefinition
from shared.lambda_.faults import Fault, pointer, sentence


def checked(report: Report) -> dict[str, Any]:
    """The report's definition with each expression rewritten for polars: see :func:`shared.engine.sql.checked`.

    ``make check`` and PlanParts call this function. The expressions in a plan are already checked.

    Raises:
        InvalidDefinition: names the report and lists every fault of every expression.
    """
    definition = copy.deepcopy(report.definition)
    places = [(pointer("columns", at), each["name"], each) for at, each in enumerate(definition["columns"])]
    if isinstance(definition.get("tenant"), dict):
        places.append(("/tenant", "tenant", definition["tenant"]))
    for name, parameter in definition.get("parameters", {}).items():
        places.append((pointer("parameters", name, "filter"), name, parameter.get("filter", {})))
    faults = []
    for where, name, holder in places:
        if "expression" in holder:
            from shared.engine import sql  # imports a parser, which takes at least half a second

            holder["expression"], errors = sql.checked(holder["expression"])
            faults += [
                Fault(pointer=f"{where}/expression", detail=f"{name}: {each.detail}", allowed=each.allowed)
                for each in errors
            ]
            if where == "/tenant" and not errors and not sql.columns(holder["expression"]):
                detail = "tenant: the expression uses no column, so every row would belong to the same tenant"
                allowed = "an expression that uses a column"
                faults.append(Fault(pointer="/tenant/expression", detail=detail, allowed=allowed))
    if faults:
        raise InvalidDefinition(f"{report.id}.yaml: " + "; ".join(sentence(fault) for fault in faults), faults)
    return definition
