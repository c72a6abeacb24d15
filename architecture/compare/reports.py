"""Reports: new ones, and who sees which rows of them."""

from collections.abc import Iterator
from typing import Any

from architecture.model import Architecture
from architecture.rules import REPORT, SHARED, TENANT, Change
from architecture.values import differences, shown


def changes(old: Architecture, new: Architecture) -> Iterator[Change]:
    """A change for each report that is new, gone or reads other rows, and for each dataset that is now shared."""
    for name in {**old.reports, **new.reports}:
        before, after = old.reports.get(name), new.reports.get(name)
        subject, place = name.removesuffix(".yaml"), f"reports/{name}"
        if after is None:
            yield Change(REPORT, subject, "is gone")
            continue
        for dataset, each in _datasets(after).items():
            if _is_shared(each) and not _is_shared(_datasets(before or {}).get(dataset)):
                yield Change(
                    SHARED, subject, f"reads the dataset {dataset} with `shared: true`: for every tenant", place
                )
        if before is None:
            yield Change(REPORT, subject, f"is a new report of {_source(after)}{_tenants(after)}", place)
            if not _has_tenant(after):
                yield Change(TENANT, subject, "has no `tenant`: every caller sees every row", place)
            continue
        for each in differences(before, after):
            rule = TENANT if _is_tenant(each.path) else REPORT
            if not (each.path and each.path[-1] == "shared"):
                yield Change(rule, subject, f"`{each.place}`: {_short(each.old)} → {_short(each.new)}", place)


def _datasets(report: dict[str, Any]) -> dict[str, Any]:
    """The datasets of a report that runs a query, by their name in it."""
    found = (report.get("source") or {}).get("datasets") or {}
    return found if isinstance(found, dict) else {}


def _is_shared(dataset: Any) -> bool:
    return isinstance(dataset, dict) and dataset.get("shared") is True


def _has_tenant(report: dict[str, Any]) -> bool:
    """Whether a report, or each of its datasets, names the tenant's column or is shared."""
    datasets = _datasets(report).values()
    own = [isinstance(each, dict) and ("tenant" in each or _is_shared(each)) for each in datasets]
    return "tenant" in report or (bool(own) and all(own))


def _tenants(report: dict[str, Any]) -> str:
    """The column of the tenant, or those of the datasets of a query, such as ``, tenant: `orders.shop```."""
    owners = {"": report, **{f"{name}.": each for name, each in _datasets(report).items()}}
    own = [f"`{name}{shown(each['tenant'])}`" for name, each in owners.items() if "tenant" in (each or {})]
    return f", tenant: {', '.join(own)}" if own else ""


def _is_tenant(path: tuple[str | int, ...]) -> bool:
    return path[:1] == ("tenant",) or (path[:2] == ("source", "datasets") and path[3:4] == ("tenant",))


def _source(report: dict[str, Any]) -> str:
    source = report.get("source") or {}
    named = source.get("dataset") or source.get("table") or ", ".join(_datasets(report)) or "?"
    return f"{source.get('type', '?')} `{named}`"


def _short(value: Any) -> str:
    text = shown(value)
    return text if value is None else f"`{text if len(text) <= 80 else f'{text[:77]}…'}`"
