"""The SQL expressions of a report's definition."""

import copy
from typing import Any

from shared.catalogue.reports import Report
from shared.errors import InvalidDefinition
from shared.lambda_.faults import Fault, pointer, sentence


def checked(report: Report) -> dict[str, Any]:
    """The report's definition with each expression as polars is to run it: see :func:`shared.engine.sql.checked`.

    ``make check`` and PlanParts call it. What is read from a plan is checked already.

    Raises:
        InvalidDefinition: naming the report and every fault of every expression.
    """
    definition = copy.deepcopy(report.definition)
    places = [(pointer("columns", at), each["name"], each) for at, each in enumerate(definition["columns"])]
    if isinstance(definition.get("tenant"), dict):
        places.append(("/tenant", "tenant", definition["tenant"]))
    for name, parameter in definition.get("parameters", {}).items():
        places.append((pointer("parameters", name, "filter"), name, parameter["filter"]))
    found = []
    for where, name, holder in places:
        if "expression" in holder:
            from shared.engine import sql  # imports a parser: that takes half a second or more

            holder["expression"], wrong = sql.checked(holder["expression"])
            found += [
                Fault(pointer=f"{where}/expression", detail=f"{name}: {each.detail}", allowed=each.allowed)
                for each in wrong
            ]
            if where == "/tenant" and not wrong and not sql.columns(holder["expression"]):
                detail = "tenant: names no column, so every row would be the same tenant's"
                found.append(Fault(pointer="/tenant/expression", detail=detail, allowed="an expression of a column"))
    if found:
        raise InvalidDefinition(f"{report.id}.yaml: " + "; ".join(sentence(fault) for fault in found), found)
    return definition
