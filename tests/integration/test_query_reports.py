"""Reports whose rows a query chooses, over the API: grouped, sorted, and with the columns that the caller chose."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from tests.integration import source

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.integration.api import Caller

YEAR = {"from": "2013-01-01", "to": "2013-12-31"}


def asked(caller: Caller, report: str, **body: Any) -> tuple[dict[str, Any], list[list[str]]]:
    """An export of a report as CSV, which must succeed, and its cells."""
    answer = caller.post({"report": report, "format": "csv", "parameters": YEAR} | body)
    assert answer.status == 202, answer
    export = caller.follow(answer.json).end
    assert export["status"] == "SUCCEEDED", export
    return export, source.read(caller.download(export).content)


def test_a_query_counts_the_flights_of_the_callers_airline_alone(caller: Caller) -> None:
    export, (header, *rows) = asked(caller, "delays")
    flights = Counter((row["year"], row["month"], row["origin"]) for row in source.airline(caller.tenant))
    assert header[:4] == ["Year", "Month", "Origin", "Flights"]
    assert [((year, month, origin), int(count)) for year, month, origin, count, *_ in rows] == sorted(
        flights.items(), key=lambda each: (int(each[0][1]), each[0][2])
    )
    assert export["rows"] == len(rows) > 1


def test_the_caller_chooses_columns_and_order_of_a_report_of_files(sign_up: Callable[[str], Caller]) -> None:
    caller = sign_up("OO")
    order = [{"column": "dep_delay", "descending": True}, {"column": "flight"}]
    columns = ["flight", "dep_delay", "dest"]
    export, (header, *rows) = asked(caller, "flights", columns=columns, sort=order)
    assert header == [source.TITLES[name] for name in columns]
    delays = [int(delay) if delay else None for _, delay, _ in rows]
    known = [delay for delay in delays if delay is not None]
    assert delays == sorted(known, reverse=True) + [None] * (len(delays) - len(known))
    of_source = ([row["flight"], row["dep_delay"].replace("NA", ""), row["dest"]] for row in source.airline("OO"))
    assert sorted(rows) == sorted(of_source)
    assert (export["columns"], [key["column"] for key in export["sort"]]) == (columns, ["dep_delay", "flight"])
