"""Loads the rows of a query's datasets into tables of DuckDB: those of the tenant, in the columns that the query names.

Views do not isolate tenants: DuckDB may evaluate the query's conditions before the filter of the tenant. A table of
copied rows does, once the query can reach nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import re
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb

from shared.datasets import dataset, footers, partitions
from shared.datasets.dataset import File
from shared.errors import (
    ColumnMismatch,
    ExportError,
    InvalidDefinition,
    QueryTooLarge,
    RowGroupTooLarge,
    SourceSchemaMismatch,
)
from shared.parquet import footer as parquet_footer
from shared.parquet.footer import Footer
from shared.queries import syntax
from shared.queries.pinned import PinnedFiles
from shared.queries.statement import Dataset, Rule, Statement, quoted

MAX_BYTES = 4 * 1024**3
"""Uncompressed bytes of the columns that all datasets together load. The tables of DuckDB took 0.3 to 1.1 times as
many, and the spilled data takes 3 GiB at most; the disk has 10 GB. Measured: docs/performance.md."""
MAX_GROUP_BYTES = 256 * 1024**2
"""Compressed bytes of the columns that are loaded from a row group. DuckDB fetches them in one read, and for each of
its threads a group is in memory twice, which its own limit does not count."""
_AT_ONCE = 64
"""Footers that are fetched at the same time: S3 takes some tens of milliseconds for each."""
_BATCH = 4 * _AT_ONCE
"""Footers that are in memory at the same time, besides those that are kept."""
_KEPT_BYTES = 64 * 1024**2
"""Bytes of footers that are kept until DuckDB needs them. It fetches the others again."""
_LEAST_GUESS = 4096
_TYPES = {
    "string": "VARCHAR",
    "integer": "BIGINT",
    "number": "DOUBLE",
    "boolean": "BOOLEAN",
    "date": "DATE",
    "time": "TIME",
    "timestamp": "TIMESTAMP",
    "binary": "BLOB",
    "json": "JSON",
}
_INTEGERS = r"U?(TINYINT|SMALLINT|INTEGER|BIGINT)"
_NARROW = r"U?(TINYINT|SMALLINT|INTEGER)"
_FITTING = {
    "string": r"VARCHAR|UUID|ENUM\(.*",
    "integer": _INTEGERS,
    "number": r"FLOAT|DOUBLE",
    "boolean": "BOOLEAN",
    "date": "DATE",
    "time": r"TIME(_NS)?",
    "timestamp": r"TIMESTAMP(_S|_MS|_NS)?",
    "binary": "BLOB",
    "json": r"JSON|.*\[\d*\]|STRUCT\(.*|MAP\(.*",
}
"""DuckDB's types that a declared type takes, as :mod:`shared.engine.column_types` does."""
_ZONED = r"TIMESTAMP WITH TIME ZONE|TIMESTAMPTZ_NS"
_NANOSECONDS = "TIMESTAMP_NS|TIMESTAMPTZ_NS"
_EXACT = rf"FLOAT|UBIGINT|DECIMAL\(.*|TIME_NS|{_NANOSECONDS}"
"""Types of files whose values a declared type may change. The parts of a compiled report show them as they are."""


def sql_type(declared: str) -> str:
    """DuckDB's type of a declared source column."""
    if declared.startswith("decimal"):
        return declared.upper()
    if declared.startswith("timestamp("):
        return "TIMESTAMP WITH TIME ZONE"
    return _TYPES[declared]


@dataclass(frozen=True)
class Source:
    """The files of a dataset that may hold rows of the query, each with its last bytes from the footer on, or b"".

    ``folders`` are the types of its folders. ``examples`` holds one file of each schema. ``lacking`` names optional
    columns that no file has. ``size`` is the number of uncompressed bytes of the columns, in row groups that may hold
    rows of the tenant.
    """

    dataset: Dataset
    files: list[tuple[File, bytes]]
    folders: dict[str, str]
    examples: Sequence[tuple[File, bytes]] = ()
    lacking: frozenset[str] = frozenset()
    size: int = 0

    @property
    def proof(self) -> dict[str, Any]:
        """What the receipt says of the files: their number, and a hash of their keys and ETags."""
        versions = sorted(f"{file.key} {file.listed.etag}" for file, _ in self.files)
        return {"files": len(versions), "sha256": hashlib.sha256("\n".join(versions).encode()).hexdigest()}


def find(statement: Statement) -> list[Source]:
    """Lists the files of every dataset, and reads the footers of those that may hold rows of the query.

    Raises:
        QueryTooLarge: the columns hold more than MAX_BYTES.
        RowGroupTooLarge: the columns hold more than MAX_GROUP_BYTES in a row group.
        InvalidDefinition: a condition is not allowed.
        ColumnMismatch: a file lacks a column, or has two columns whose names differ only in their case.
        SourceUnreadable, and the exceptions of :func:`shared.datasets.dataset.files`.
    """
    sources, room = list[Source](), _KEPT_BYTES
    for each in statement.datasets:
        sources.append(_source(each, statement, room))
        room -= sum(len(last) for _, last in sources[-1].files)
    size = sum(source.size for source in sources)
    if size > MAX_BYTES:
        loaded = ", ".join(source.dataset.folder for source in sources)
        raise QueryTooLarge(
            f"the query would load {size} bytes from {loaded}; at most {MAX_BYTES} bytes are allowed: narrow the "
            "parameters, name fewer columns in source.datasets, or partition the dataset by a column of its where"
        )
    return sources


def _source(asked: Dataset, statement: Statement, room: int) -> Source:
    conditions = [_condition(rule.sql, f"the where of dataset {asked.name}") for rule in asked.rules]
    if asked.tenant:
        conditions.append(_condition(asked.tenant, f"the tenant of dataset {asked.name}"))
    every, logged = dataset.files(asked.folder, checkpoint_rows)
    files = dataset.own(every, asked.tenant_column, statement.tenant)
    known = logged | asked.columns | dict.fromkeys(asked.bounds, "integer")
    known |= {asked.tenant_column: "string"} if asked.tenant_column else {}
    folders = dataset.partition_types(every, files, known)
    spelled = dict[str, str]()
    for name in (*asked.bounds, *folders):
        if (first := spelled.setdefault(name.lower(), name)) != name:
            raise ColumnMismatch(
                f"dataset {asked.name}: {asked.folder} has the columns {first} and {name}, which are one name in SQL"
            )
    keeps = _keeps(asked, statement, conditions, files, folders)
    needed = {*asked.columns, *(name for each in conditions for name in each.columns)}
    kept, examples, present, size = list[tuple[File, bytes]](), dict[bytes, tuple[File, bytes]](), set[str](), 0

    def learn(file: File, content: bytes, footer: Footer) -> None:
        if footer.schema not in examples:
            _require_columns(asked, file, footer, needed)
            examples[footer.schema] = (file, content)
            present.update(footer.columns, file.values)

    for file, content, footer in _read([file for file, keep in zip(files, keeps, strict=True) if keep], room):
        learn(file, content, footer)
        kept.append((file, content))
        size += sum(_bytes_of(asked, file, footer, statement.tenant))
    if not kept and statement.is_compiled and "json" in asked.columns.values():
        example = (files or every)[-1]  # it has the fields, which the declared type does not say
        with _unnamed(asked, example):
            learn(*next(_read([example], room)))
    lacking = frozenset(asked.optional - present)
    return Source(asked, kept, folders, [*examples.values()], lacking, size)


@contextlib.contextmanager
def _unnamed(asked: Dataset, file: File) -> Iterator[None]:
    """Names only the dataset in an error of a file that may be another tenant's: its key may say whose it is."""
    try:
        yield
    except ExportError as error:
        raise type(error)(str(error).replace(file.address, asked.folder)) from None


def _condition(sql: str, where: str) -> syntax.Condition:
    condition, found = syntax.condition(sql)
    if found:
        raise InvalidDefinition(f"{where}: {found[0].detail}; allowed: {found[0].allowed}")
    return condition


def _read(files: Sequence[File], room: int) -> Iterator[tuple[File, bytes, Footer]]:
    """Each file with its last bytes, from the footer on, and its footer. The last bytes are b"" once room is used."""
    guess = footers.FOOTER_GUESS
    batches = [files[:1], *(files[at : at + _BATCH] for at in range(1, len(files), _BATCH))]
    with asyncio.Runner() as runner:
        for batch in batches:
            for file, content in zip(batch, runner.run(_footers(batch, guess)), strict=True):
                try:
                    footer = parquet_footer.read(content)
                except ValueError as error:
                    raise footers.unreadable(file.listed.version, str(error)) from error
                last = content + len(content).to_bytes(4, "little") + parquet_footer.MAGIC
                room -= len(last)
                yield file, last if room >= 0 else b"", footer
                # The files of a dataset are usually similar.
                guess = min(max(2 * len(last), _LEAST_GUESS), footers.FOOTER_GUESS)


async def _footers(files: Sequence[File], guess: int) -> list[bytes]:
    limit = asyncio.Semaphore(_AT_ONCE)

    async def read(file: File) -> bytes:
        async with limit:
            return await footers.quick_footer(file.listed.version, guess)

    return await asyncio.gather(*map(read, files))


def _require_columns(asked: Dataset, file: File, footer: Footer, needed: Collection[str]) -> None:
    """Checks that a file has each needed column, once. SQL, unlike Parquet, does not distinguish ``id`` and ``Id``."""
    names = [*dict.fromkeys([*footer.columns, *file.values])]
    spelled: dict[str, list[str]] = {}
    for name in names:
        spelled.setdefault(name.lower(), []).append(name)
    missing = [
        name
        for name in needed
        if name not in asked.optional and (name not in names if name in asked.columns else name.lower() not in spelled)
    ]
    if missing:
        raise ColumnMismatch(
            f"dataset {asked.name}: {file.address} has no column {', '.join(sorted(missing))}; it has: "
            f"{', '.join(names)}"
        )
    for name in needed:
        if len(alike := spelled.get(name.lower(), [])) > 1:
            raise ColumnMismatch(
                f"dataset {asked.name}: {file.address} has the columns {' and '.join(alike)}, which are one name in SQL"
            )


def _bytes_of(asked: Dataset, file: File, footer: Footer, tenant: str) -> Iterator[int]:
    """Bytes of each row group that may hold rows of the tenant. Bounds of numbers are not read."""
    tenants = {(asked.tenant_column,)} if asked.columns.get(str(asked.tenant_column)) == "string" else {}
    for group in footer.row_groups:
        chunks = [chunk for chunk in group.chunks if chunk.column in asked.columns]
        if all(_may_hold(chunk.bounds, tenant) for chunk in chunks if chunk.path in tenants):
            if (size := sum(chunk.bytes for chunk in chunks)) > MAX_GROUP_BYTES:
                raise RowGroupTooLarge(
                    f"{file.address} has a row group of {group.rows} rows whose columns for this report have {size} "
                    f"bytes; a query may load at most {MAX_GROUP_BYTES} bytes of a row group: write smaller row "
                    "groups, or declare fewer columns"
                )
            yield sum(chunk.uncompressed_bytes for chunk in chunks)


def _may_hold(bounds: tuple[bytes | None, bytes | None], tenant: str) -> bool:
    """Whether a row group may hold the tenant, from the bounds of its texts, which may be truncated."""
    low, high = bounds
    text = tenant.encode()
    return (low is None or low <= text) and (high is None or text[: len(high)] <= high)


def _keeps(
    asked: Dataset,
    statement: Statement,
    conditions: Sequence[syntax.Condition],
    files: Sequence[File],
    folders: Mapping[str, str],
) -> list[bool]:
    """Which files may hold rows that pass the rules, from the names of their folders and the declared bounds.

    Args:
        conditions: those of the rules.
    """
    known = dict.fromkeys(asked.bounds, "integer") | dict(folders)
    keep = [True] * len(files)
    if not asked.rules or not known:
        return keep
    with connect_locked() as connection:
        for side, table in enumerate(("low", "high")):
            values = {
                name: [partitions.value(file.values[name], folders[name]) for file in files]
                if name in folders
                else [asked.bounds[name][side]] * len(files)
                for name in known
            }
            lists = [f"unnest(${at}::{sql_type(known[name])}[]) AS {quoted(name)}" for at, name in enumerate(known, 1)]
            everything = ", ".join([f"unnest(range({len(files)})) AS file__", *lists])
            connection.execute(f'CREATE TABLE "{table}" AS SELECT {everything}', [*values.values()])
        for rule, condition in zip(asked.rules, conditions, strict=False):
            for table, test, columns in _tests(rule, condition, folders, known):
                unknown = "".join(f" OR {quoted(name)} IS NULL" for name in columns)
                text = f'SELECT file__ FROM "{table}" WHERE ({test}) IS NOT FALSE{unknown}'
                try:
                    passing = {number for (number,) in run(connection, text, statement.values).fetchall()}
                except duckdb.Error:  # a bound need not exist in the data, so the condition may fail on it
                    continue
                keep = [kept and number in passing for number, kept in enumerate(keep)]
    return keep


def _tests(
    rule: Rule, condition: syntax.Condition, folders: Collection[str], known: Collection[str]
) -> Iterator[tuple[str, str, frozenset[str]]]:
    """The conditions on the bounds of files that a rule gives, and their columns."""
    spelled = {name.lower(): name for name in known}
    for text, columns in condition.operands:
        if {spelled.get(name.lower()) for name in columns} <= set(folders):
            yield "low", text, frozenset()
    if not condition.hides_nulls and {name.lower() for name in condition.columns} <= set(spelled):
        for table, test in (("low", rule.low), ("high", rule.high)):
            if test:
                yield table, test, frozenset(spelled[name.lower()] for name in condition.columns)


def create(connection: duckdb.DuckDBPyConnection, statement: Statement, source: Source, files: PinnedFiles) -> None:
    """Creates the table of a dataset. Its files must not be readable for the query that follows.

    Args:
        files: registered with the connection.

    Raises:
        ColumnMismatch: a column has another type than its declared type.
        SourceSchemaMismatch: a column is a list in one file, and a struct or a map in another.
        duckdb.Error: a condition or a cast fails; or ``files.failure`` says why a file cannot be read.
    """
    asked = source.dataset
    table = quoted(asked.name)
    if not source.examples:
        columns = ", ".join(f"{quoted(name)} {sql_type(kind)}" for name, kind in asked.columns.items())
        connection.execute(f"CREATE TABLE {table} ({columns})")
        return
    hive = ", ".join(f"{quoted(name)}: '{sql_type(kind)}'" for name, kind in source.folders.items())
    options = f"hive_partitioning = true, hive_types = {{{hive}}}" if hive else "hive_partitioning = false"

    def scan(some: Sequence[tuple[File, bytes]]) -> str:
        addresses = ", ".join("'{}'".format(files.add(*each).replace("'", "''")) for each in some)
        return f"read_parquet([{addresses}], union_by_name = true, {options})"

    with contextlib.nullcontext() if source.files else _unnamed(asked, source.examples[0][0]):
        tenant_type, narrow = _check_types(connection, source, scan)
    wide = [f"CAST({quoted(name)} AS BIGINT) AS {quoted(name)}" for name in narrow]
    nulls = [f"CAST(NULL AS {sql_type(asked.columns[name])}) AS {quoted(name)}" for name in sorted(source.lacking)]
    read = ", ".join([f"* REPLACE ({', '.join(wide)})" if wide else "*", *nulls])
    rules = [f"({rule.sql}\n)" for rule in asked.rules]
    values = dict(statement.values)
    if asked.tenant:
        name = next(name for name in (f"tenant{'_' * count}" for count in range(1, 99)) if name not in spelled(values))
        is_number = re.fullmatch(_INTEGERS, tenant_type) is not None
        values[name] = _number(statement.tenant) if is_number else statement.tenant
        own = f"{asked.tenant} = ${name}" if is_number else f"CAST(({asked.tenant}\n) AS VARCHAR) = ${name}"
        if rules and asked.tenant_column not in source.folders:
            # DuckDB chooses the order of AND, but not of CASE. A rule may fail on another tenant's row.
            rules = [*_safe(source, statement), f"CASE WHEN {own} THEN {' AND '.join(rules)} ELSE false END"]
        rules.insert(0, own)
    rows = f"SELECT {read} FROM {scan(source.files or source.examples)}"
    rules = rules if source.files else ["false"]
    described = connection.execute(f"DESCRIBE SELECT {read} FROM {scan(source.examples)}").fetchall()
    given = {name.lower(): kind for name, kind, *_ in described}  # files may spell an optional column differently
    casts = ", ".join(
        _cast(name, kind, given[name.lower()], statement.is_compiled) for name, kind in asked.columns.items()
    )
    passing = f"SELECT * FROM ({rows}) WHERE {' AND '.join(rules) or 'true'}"
    run(connection, f"CREATE TABLE {table} AS SELECT {casts} FROM ({passing})", values)


def _safe(source: Source, statement: Statement) -> list[str]:
    """The operands of the rules that cannot fail on a row. DuckDB may test them first, and on whole row groups."""
    types = source.dataset.columns | source.folders
    kinds = {name.lower(): syntax.KINDS[kind.partition("(")[0]] for name, kind in types.items()}
    kinds |= {f"${name}": syntax.kind_of(value) for name, value in spelled(statement.values).items()}
    return [each for rule in source.dataset.rules for each in syntax.condition(rule.sql, kinds)[0].safe]


def _number(tenant: str) -> int | None:
    """The tenant for a column of numbers; None if it is not one in its only form, so that it owns no row."""
    return int(tenant) if re.fullmatch(r"0|-?[1-9][0-9]{0,19}", tenant) else None


def _cast(name: str, declared: str, given: str, is_compiled: bool) -> str:
    """A column in its declared type. TIMESTAMP would cut nanoseconds off, so they stay."""
    column = quoted(name)
    if is_compiled and declared == "json":
        return column
    target = given if re.fullmatch(_EXACT if is_compiled else _NANOSECONDS, given) else sql_type(declared)
    return f"CAST({'to_json(' + column + ')' if declared == 'json' else column} AS {target}) AS {column}"


def _check_types(
    connection: duckdb.DuckDBPyConnection, source: Source, scan: Callable[[Sequence[tuple[File, bytes]]], str]
) -> tuple[str, list[str]]:
    """Checks the types of the columns in a file of each schema.

    DuckDB would read a column that has numbers in one file and text in another as text.

    Returns:
        The type of the tenant's column, if it is one; and the columns of small integers, with which a rule such as
        ``year * 10000`` could overflow.
    """
    asked = source.dataset
    types, narrow, shapes = set[str](), set(asked.columns), dict[str, tuple[str, File]]()
    for example in source.examples:
        described = connection.execute(f"DESCRIBE FROM {scan([example])}").fetchall()
        given = {name: kind for name, kind, *_ in described}
        wrong = [
            f"column {name} is declared {declared}, and {example[0].address} has {given[name]}"
            for name, declared in asked.columns.items()
            if name in given and name not in source.folders and not fits(declared, given[name])
        ]
        if wrong:
            raise ColumnMismatch(f"dataset {asked.name}: {'; '.join(wrong)}")
        for name in (name for name, declared in asked.columns.items() if declared == "json" and name in given):
            if shape := _shape(given[name]):
                known, where = shapes.setdefault(name, (shape, example[0]))
                if shape != known:
                    raise SourceSchemaMismatch(
                        f"dataset {asked.name}: column {name} is {shape} in {example[0].address}, {known} in "
                        f"{where.address}"
                    )
        narrow -= {name for name in narrow if not re.fullmatch(_NARROW, given.get(name, ""))}
        types.add(given[asked.tenant_column] if asked.tenant_column else "VARCHAR")
    number = {kind for kind in types if re.fullmatch(_INTEGERS, kind)}
    if wrong := sorted(types - number if number else {kind for kind in types if not fits("string", kind)}):
        raise ColumnMismatch(
            f"dataset {asked.name} ({asked.folder}): the tenant's column {asked.tenant_column} is "
            f"{' and '.join(wrong)}; allowed: text in every file, or integers in every file"
        )
    return types.pop(), sorted(narrow)


def _shape(given: str) -> str:
    """What DuckDB cannot convert into another shape; "" for JSON and for nulls."""
    if given.endswith("]"):
        return "a list"
    return "a struct or a map" if given.startswith(("STRUCT(", "MAP(")) else ""


def fits(declared: str, given: str) -> bool:
    """Whether a declared type takes a type of DuckDB."""
    if given == '"NULL"':
        return True
    if declared.startswith("decimal"):
        scale = declared.rstrip(")").partition(",")[2]
        return re.fullmatch(rf"DECIMAL\(\d+,{scale}\)", given) is not None
    if declared.startswith("timestamp("):
        return re.fullmatch(_ZONED, given) is not None
    return re.fullmatch(_FITTING[declared], given) is not None


def run(connection: duckdb.DuckDBPyConnection, text: str, values: Mapping[str, Any]) -> duckdb.DuckDBPyConnection:
    """Executes a statement with those of the values that it names. DuckDB ignores the case of names."""
    known = spelled(values)
    named = {name for each in connection.extract_statements(text) for name in each.named_parameters}
    return connection.execute(text, {name: known.get(name.lower()) for name in named})


def spelled(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values by name in lower case."""
    return {name.lower(): value for name, value in values.items()}


def connect_locked() -> duckdb.DuckDBPyConnection:
    """A small database in memory that reads no file."""
    connection = duckdb.connect(config={"threads": 1, "enable_external_access": "false"})
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET lock_configuration = true")
    return connection


def checkpoint_rows(content: bytes, columns: Collection[str]) -> Iterator[Mapping[str, Any]]:
    """Reads a checkpoint of a Delta table's log (:data:`.delta.Rows`)."""
    with tempfile.NamedTemporaryFile(suffix=".parquet") as file, duckdb.connect(config={"threads": 1}) as connection:
        file.write(content)
        file.flush()
        scan = f"read_parquet('{file.name}')"
        try:
            given = [name for name, *_ in connection.execute(f"DESCRIBE FROM {scan}").fetchall()]
            known = [name for name in columns if name in given]
            rows = connection.execute(f"SELECT {', '.join(map(quoted, known))} FROM {scan}").fetchall()
        except duckdb.Error as error:
            raise ValueError(type(error).__name__) from error
    return iter([dict(zip(known, row, strict=True)) for row in rows])
