"""What the tests of the formats share: plans, files put together without S3, and values of every type."""

from __future__ import annotations

import datetime
import decimal
import io
import json
import math
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import polars as pl
from hypothesis import strategies as st

from shared.files.formats import FORMATS, resolve_options
from shared.files.segments import Literal, Range, Segment
from shared.files.work import Receipt, Work

Parts = Sequence[Sequence[pl.DataFrame]]
"""The batches of each part."""
WORK = Work("export", "plan")
DANGEROUS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What a spreadsheet takes for the start of a formula."""


@dataclass(frozen=True)
class File:
    """A file, and what it was made of."""

    content: bytes
    segments: list[Segment]
    receipts: list[Receipt]


def plan(name: str, types: dict[str, str], **options: Any) -> Any:
    """As much of a plan as a format reads. Columns have titles that must be quoted."""
    columns = [{"name": column, "title": f'Title, "{column}"', "type": kind} for column, kind in types.items()]
    return {"definition": {"title": "Numbers", "columns": columns}, "options": resolve_options(name, options)}


def make(name: str, parts: Parts, types: dict[str, str], *, placed: bool = True, **options: Any) -> File:
    """The file that the parts give: see :func:`make_of`."""
    return make_of(name, plan(name, types, **options), parts, placed=placed)


def make_of(name: str, wanted: Any, parts: Parts, *, placed: bool = True) -> File:
    """The file that parts give by a plan, each written in batches; S3's work is done by putting bytes together.

    Args:
        placed: whether each part knows the number of its first row.
    """
    fragments: dict[str, bytes] = {}
    receipts: list[Receipt] = []
    if placed:
        wanted["rows_passing"] = sum(batch.height for batches in parts for batch in batches)
    for number, batches in enumerate(parts):
        into = io.BytesIO()
        before = sum(each["rows_written"] for each in receipts)
        writer = FORMATS[name].writer(wanted, into, first=number == 0, first_row=before if placed else None)
        for batch in batches:
            writer.write(batch)
        fragment = json.loads(json.dumps(writer.close()))  # the receipt travels as JSON
        fragments[WORK.part_key(number)] = content = into.getvalue()
        # As if one row of each batch had been left out.
        written = sum(batch.height for batch in batches)
        receipts.append(receipt(number, content, written, fragment) | {"rows_read": written + len(batches)})
    segments = FORMATS[name].layout(wanted, WORK, receipts)
    return File(b"".join(bytes_of(segment, fragments) for segment in segments), segments, receipts)


def receipt(part: int, content: bytes, rows: int, fragment: dict[str, Any]) -> Receipt:
    """A part's receipt."""
    proof = {"part": part, "etag": '"e"', "bytes": len(content), "crc32": zlib.crc32(content)}
    counts = {"rows_read": rows, "rows_written": rows, "bytes_read": 0, "peak_memory_bytes": 0}
    return proof | counts | {"fragment": fragment}  # type: ignore[return-value]


def bytes_of(segment: Segment, fragments: dict[str, bytes]) -> bytes:
    """The bytes of a segment of a file, which S3 would take from the fragments."""
    if isinstance(segment, Literal):
        return segment.data
    assert isinstance(segment, Range)
    content = fragments[segment.key]
    assert len(content) == segment.object_size
    return content[segment.start : segment.start + segment.size]


def whole(name: str, rows: pl.DataFrame, types: dict[str, str], **options: Any) -> bytes:
    """The file of one part in one batch."""
    return make(name, [[rows]], types, **options).content


# Values

TEXT = st.text(st.characters(codec="utf-8"), max_size=12)
QUOTING = ["", " ", "  leading and trailing  ", "a,b;c\td|e", 'say "no"', '"', "'quoted", "\\", "C:\\new", "</script>"]
BREAKS = ["line\nbreak", "carriage\rreturn", "both\r\n", "\n", "\x00", "a\x00b", "\x01\x02\x1f\x7f", "\u2028\u2029\x85"]
SCRIPTS = ["\ufeffmark", "e\u0301 combining", "שלום עולם", "\u202eoverride", "😀𝔘𝔫𝔦𝔠𝔬𝔡𝔢", "\U0010ffff"]
FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "\uff1d1", "-"]
LOOKALIKES = ["null", "NA", "NaN", "true", "007", "1e5", "2013-01-31", "#comment", "\\N", "ID"]
NASTY = st.sampled_from([*QUOTING, *BREAKS, *SCRIPTS, *FORMULAS, *LOOKALIKES])
INTEGERS = st.one_of(
    st.integers(-(2**63), 2**63 - 1),
    st.sampled_from([0, 10**15 - 1, 10**16 - 1, 2**53, 2**53 + 1, 10**18, -(2**63), 2**63 - 1]),
)
FLOATS = st.floats() | st.sampled_from([-0.0, 5e-324, 1.7976931348623157e308, math.nan, math.inf, -math.inf, 0.1 + 0.2])
MOMENTS = st.datetimes()
"""Timestamps of the years 1 to 9999, in microseconds."""


def decimals(places: int) -> st.SearchStrategy[decimal.Decimal]:
    """Decimals of 38 digits, so many of them after the point."""
    return st.integers(-(10**38) + 1, 10**38 - 1).map(lambda digits: decimal.Decimal(digits).scaleb(-places, EXACT))


EXACT = decimal.Context(prec=40)


class Kind(NamedTuple):
    """A column: its type in a definition, its type in the engine, its values, and how the engine comes by them."""

    declared: str
    dtype: Any
    values: st.SearchStrategy[Any]
    convert: Callable[[pl.Series], pl.Series] = lambda series: series


def _in_zone(zone: str) -> Callable[[pl.Series], pl.Series]:
    return lambda utc: utc.dt.replace_time_zone("UTC").dt.convert_time_zone(zone)


NESTED = pl.Struct(
    {
        "text": pl.String,
        "list": pl.List(pl.Int64),
        "inner": pl.Struct({"price": pl.Decimal(10, 2), "day": pl.Date, "x": pl.Float64}),
    }
)


def _structs(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({name: st.none() | values for name, values in fields.items()})


_INNER = _structs(price=st.decimals(-(10**7), 10**7, places=2), day=st.dates(), x=FLOATS)
_STRUCTS = _structs(text=TEXT | NASTY, list=st.lists(st.none() | INTEGERS, max_size=3), inner=_INNER)
KINDS = {
    "text": Kind("string", pl.String, TEXT | NASTY),
    "choice": Kind("string", pl.Categorical, st.sampled_from(["one", "two", ""])),
    "whole": Kind("integer", pl.Int64, INTEGERS),
    "huge": Kind("integer", pl.UInt64, st.integers(0, 2**64 - 1)),
    "real": Kind("number", pl.Float64, FLOATS),
    "single": Kind("number", pl.Float32, st.floats(width=32)),
    "half": Kind("number", pl.Float16, st.floats(width=16)),
    "money": Kind("decimal", pl.Decimal(38, 2), decimals(2)),
    "fraction": Kind("decimal", pl.Decimal(38, 38), decimals(38)),
    "truth": Kind("boolean", pl.Boolean, st.booleans()),
    "day": Kind("date", pl.Date, st.dates()),
    "clock": Kind("time", pl.Time, st.times()),
    "local": Kind("timestamp", pl.Datetime("us"), MOMENTS),
    "utc": Kind("timestamp", pl.Datetime("us"), MOMENTS, _in_zone("UTC")),
    "zoned": Kind("timestamp", pl.Datetime("us"), MOMENTS, _in_zone("America/New_York")),
    "list": Kind("json", pl.List(pl.List(pl.Int64)), st.lists(st.none() | st.lists(st.none() | INTEGERS, max_size=2))),
    "texts": Kind("json", pl.List(pl.String), st.lists(st.none() | TEXT | NASTY, max_size=3)),
    "halves": Kind("json", pl.List(pl.Float16), st.lists(st.none() | st.floats(width=16), max_size=2)),
    "moments": Kind("json", pl.List(pl.Datetime("us")), st.lists(st.none() | MOMENTS, max_size=2)),
    "struct": Kind("json", NESTED, _STRUCTS),
}
TYPES = {name: kind.declared for name, kind in KINDS.items()}
ROWS = _structs(**{name: kind.values for name, kind in KINDS.items()})


def frame(rows: Sequence[dict[str, Any]]) -> pl.DataFrame:
    """Rows of :data:`ROWS` as the engine holds them."""
    columns = {name: pl.Series([row[name] for row in rows], dtype=kind.dtype) for name, kind in KINDS.items()}
    return pl.DataFrame({name: KINDS[name].convert(column) for name, column in columns.items()})


def same(found: Any, expected: Any) -> bool:
    """Equality to the bit: NaN is itself, -0.0 is not 0.0, 1 is not True, and a decimal keeps its digits."""
    if type(found) is not type(expected):
        return False
    match expected:
        case dict():
            return set(found) == set(expected) and all(same(found[key], expected[key]) for key in found)
        case list() | tuple():
            return len(found) == len(expected) and all(map(same, found, expected))
        case float():
            both = math.isnan(found) and math.isnan(expected)
            return both or (found == expected and math.copysign(1, found) == math.copysign(1, expected))
        case decimal.Decimal():
            return bool(found.compare_total(expected) == 0)
    return bool(found == expected)


def differences(found: Sequence[Any], expected: Sequence[Any]) -> list[Any]:
    """Where two sequences of values differ: ``(index, found, expected)``."""
    pairs = enumerate(zip(found, expected, strict=True))
    return [(index, *pair) for index, pair in pairs if not same(*pair)]


def utc(moment: datetime.datetime) -> datetime.datetime:
    """A moment that was meant in UTC."""
    return moment.replace(tzinfo=datetime.UTC)


def values(rows: Sequence[dict[str, Any]], name: str) -> list[Any]:
    """A column of rows as a reader must find it."""
    found = [row[name] for row in rows]
    return [value and utc(value) for value in found] if name in ("utc", "zoned") else found


def as_held(name: str, found: list[Any]) -> list[Any]:
    """Floats of a column as its type holds them: a reader of text takes them for 64 bits."""
    return pl.Series(found, dtype=KINDS[name].dtype).to_list() if name in ("single", "half") else found


@st.composite
def splits(draw: st.DrawFn, rows: pl.DataFrame) -> list[list[pl.DataFrame]]:
    """The rows divided into parts, and each part into batches, in order; some of both without rows."""

    def cut(frame: pl.DataFrame, pieces: int) -> list[pl.DataFrame]:
        cuts = sorted(draw(st.lists(st.integers(0, frame.height), max_size=pieces - 1)))
        return [frame[low:high] for low, high in pairwise([0, *cuts, frame.height])]

    return [cut(part, 3) for part in cut(rows, 4)]


DIVIDED = st.lists(ROWS, max_size=6).flatmap(lambda rows: st.tuples(st.just(rows), splits(frame(rows))))
"""Rows, and the same divided."""
Divided = tuple[list[dict[str, Any]], list[list[pl.DataFrame]]]
