"""How the commands write for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from exports_admin.overview import Overview


_LONG = 80


def line(text: str) -> str:
    """A text as one line without control characters: a detail may quote what a user has sent."""
    return "".join(
        character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in " ".join(text.split())
    )


def duration(seconds: float | None) -> str:
    """A duration, with a precision that suits its length; "" for None."""
    if seconds is None:
        return ""
    if seconds < 60:
        return f"{seconds:.3f} s" if seconds < 10 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s"


def table(rows: list[list[str]], right: set[int]) -> list[str]:
    """The lines of a table. Columns in ``right`` are right-aligned. Cells of more than 80 characters are cut."""
    rows = [[cell if len(cell) <= _LONG else cell[: _LONG - 1] + "…" for cell in row] for row in rows]
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if number in right else cell.ljust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


STATES = ["state", "status", "after", "took", "retries", "error"]
PARTS = ["part", "status", "took", "retries", "error"]


def summary(seen: Overview) -> dict[str, str]:
    """The fields of an attempt (:func:`.overview.of`) as names and texts; "" if a field is empty."""
    record, failed = seen["record"], seen["error"]
    took = f"{'took' if seen['stopped_at'] else 'running for'} {duration(seen['seconds'])}"
    pairs = {"started": f"{seen['started_at']}, {took}"}
    if failed and failed["type"] == "ExecutionAborted":
        pairs |= {"stopped": line(f"in {failed['state'] or 'no state'}: {failed['detail']}")}
    elif failed:
        part = "" if failed["part"] is None else f", part {failed['part']}"
        pairs |= {"failed": f"in {failed['state'] or 'no state'}{part}"}
        pairs |= {
            "error": f"{line(failed['type'])}: {failed['title']}",
            "detail": line(failed["detail"]),
            "remedy": failed["remedy"],
        }
    if record is None:
        return pairs | {"record": "deleted"}
    now = f"attempt {record['attempt']} is {record['status']}"
    pairs |= {"export": f"{record['report']}, {record['format']}", "record": now}
    if record["rows"] is not None:
        rows = "1 row" if record["rows"] == 1 else f"{record['rows']:,} rows"
        pairs["file"] = f"{rows}, {record['bytes']:,} bytes, CRC-32 {record['crc32']}"
    if record["requested_by"]:
        pairs["by"] = line(record["requested_by"])
    if record["warning"]:
        pairs["warning"] = record["warning"]
    if seen.get("hint"):
        pairs["hint"] = line(seen["hint"])
    return pairs


def error(explained: dict[str, Any] | None) -> str:
    """The type and the detail of an error, in one line."""
    return line(f"{explained['type']}: {explained['detail'] or explained['title']}") if explained else ""


def states(seen: Overview) -> list[list[str]]:
    """The states that the execution entered, as rows of :data:`STATES`."""
    return [
        [
            line(state["name"]),
            state["status"],
            f"+{state['after']:.3f} s",
            duration(state["seconds"]),
            str(state["retries"] or ""),
            error(state["error"]),
        ]
        for state in seen["states"]
    ]


def parts_summary(parts: dict[str, Any]) -> str:
    """The number of parts by status, and their median duration, in one line."""
    words = {"timedOut": "timed out"}
    names = ("succeeded", "failed", "timedOut", "aborted", "running", "pending")
    counted = ", ".join(f"{parts[name]:,} {words.get(name, name)}" for name in names if parts[name])
    median = parts["median_seconds"]
    took = "" if median is None else f"; median {duration(median)}"
    retried = f"{parts['retried'] or 'none'} retried ({parts['looked_at']} histories read)"
    many = "1 part" if parts["total"] == 1 else f"{parts['total']:,} parts"
    return f"{many}: {counted or 'none'}{took}; {retried}"


def part_tables(parts: dict[str, Any]) -> dict[str, list[list[str]]]:
    """Tables of parts: rows of :data:`PARTS` by the title of the table."""
    tables = {"First failed parts": parts["failures"], "Slowest parts": parts["slowest"]}
    return {title: [_part(part) for part in rows] for title, rows in tables.items() if rows}


def _part(part: dict[str, Any]) -> list[str]:
    return [
        str(part["part"]),
        part["status"],
        duration(part["seconds"]),
        str(part["retries"] or ""),
        error(part["error"]),
    ]
