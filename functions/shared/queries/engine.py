"""Runs a query: tables of the tenant's rows, then nothing but them, then one SELECT into one Parquet file."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import duckdb

from shared.errors import ExportError, QueryFailed, QueryInvalid, QueryTimedOut, QueryTooLarge
from shared.lambda_.faults import Fault, pointer
from shared.queries import syntax, tables
from shared.queries.pinned import PinnedFiles
from shared.queries.statement import Statement, quoted
from shared.queries.tables import Source

GROUP_ROWS = 30_720
"""Rows of a row group of the result: a multiple of DuckDB's vectors. Small groups divide well into parts."""
_MIB = 1024 * 1024
_TABLES_SHARE = 3
"""Tables of at most this part of the memory, in encoded bytes, need no file, which is faster: docs/performance.md. They
grow by a factor of 1 to 4.4. If they need too much memory after all, the query runs again with a file."""
_LOOK = 5
"""Seconds between two looks at whether the query is still wanted."""
_AGAIN = 0.05
"""Seconds between two interrupts of a query that must end."""
_RESULT_TYPES = {
    "string": (r"VARCHAR|UUID|ENUM\(.*", "VARCHAR", "VARCHAR"),
    "integer": (r"U?(TINYINT|SMALLINT|INTEGER|BIGINT|HUGEINT)", "BIGINT", "an integer"),
    "number": (r"FLOAT|DOUBLE|U?(TINYINT|SMALLINT|INTEGER|BIGINT|HUGEINT)|DECIMAL\(.*", "DOUBLE", "a number"),
    "decimal": (r"DECIMAL\(.*", "", "DECIMAL"),
    "boolean": ("BOOLEAN", "", "BOOLEAN"),
    "date": ("DATE", "", "DATE"),
    "time": (r"TIME(_NS)?|VARCHAR", "", "TIME, or VARCHAR as HH:MM"),
    "timestamp": (r"TIMESTAMP(_S|_MS|_NS)?|TIMESTAMPTZ_NS|TIMESTAMP WITH TIME ZONE", "", "TIMESTAMP"),
    "binary": ("BLOB", "", "BLOB"),
    "json": (r"JSON|VARCHAR|.*\[\d*\]|STRUCT\(.*|MAP\(.*", "JSON", "JSON, a list, a struct or a map"),
}
"""By a report's column type: DuckDB's types that it takes, the type it is written as, and what is allowed.

Without the cast, DuckDB would write HUGEINT (the sum of integers) as floating-point numbers and UUID as binary.
"""


class Limits(NamedTuple):
    """What a query may use: memory and spilled data in MiB, seconds, and rows of the result."""

    memory: int
    spill: int
    seconds: float
    rows: int


def write(
    statement: Statement, sources: Sequence[Source], limits: Limits, still_wanted: Callable[[], None], folder: Path
) -> tuple[Path, int, int]:
    """Runs a query.

    Args:
        still_wanted: raises an exception if nobody needs the result any more. It is called every few seconds.
        folder: an empty folder, for the database, the spilled data and the result.

    Returns:
        The Parquet file, its number of rows, and the bytes that were fetched.

    Raises:
        QueryInvalid, QueryFailed, QueryTooLarge, QueryTimedOut, the exceptions of
        :func:`shared.datasets.objects.blocks`, and what ``still_wanted`` raises.
    """
    if found := syntax.faults(statement.sql, [each.name for each in statement.datasets]):
        raise QueryInvalid(f"{statement.file}, line {found[0].line}: {found[0].detail}; allowed: {found[0].allowed}")
    file, databases = folder / "result" / "result.parquet", [str(folder / "query.duckdb")]
    file.parent.mkdir()
    if sum(source.size for source in sources) <= limits.memory * _MIB // _TABLES_SHARE:
        databases.insert(0, ":memory:")
    end = time.monotonic() + limits.seconds
    for database in databases:
        left = limits._replace(seconds=end - time.monotonic())
        try:
            rows, fetched = _run(statement, sources, left, still_wanted, file, database)
            break
        except QueryTooLarge:
            if database == databases[-1]:
                raise
    if rows > limits.rows:
        raise QueryTooLarge(
            f"the query returns {rows} rows; MaxRowsPerExport is {limits.rows}: narrow the parameters, or group more"
        )
    return file, rows, fetched


def _run(
    statement: Statement,
    sources: Sequence[Source],
    limits: Limits,
    still_wanted: Callable[[], None],
    file: Path,
    database: str,
) -> tuple[int, int]:
    """Runs a query in a new database, and writes its result. Returns its number of rows, and the bytes fetched."""
    spill = file.parents[1] / "spill"
    with _opened(database, spill, limits) as connection, _watched(connection, limits.seconds, still_wanted) as watch:
        files, where = PinnedFiles(), ""
        try:
            connection.register_filesystem(files)
            for source in sources:
                where = f"dataset {source.dataset.name} of {statement.file}"
                tables.create(connection, statement, source, files)
                watch.check()
            where = statement.file
            lock(connection, [file.parent, spill])
            rows = _copy(connection, statement, file)
            watch.check()
        except duckdb.Error as error:
            failure = watch.failure or files.failure or _translated(error, where, limits)
            raise failure from None  # the cause may quote values of rows
    return rows, files.fetched


@contextlib.contextmanager
def _opened(database: str, spill: Path, limits: Limits) -> Iterator[duckdb.DuckDBPyConnection]:
    config: dict[str, str | int | bool | float | list[str]] = {
        "threads": os.cpu_count() or 1,
        "memory_limit": f"{limits.memory} MiB",
        "temp_directory": str(spill),
        "max_temp_directory_size": f"{limits.spill} MiB",
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        "allow_community_extensions": "false",
        "python_enable_replacements": "false",
    }
    with duckdb.connect(database, config=config) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        yield connection


def lock(connection: duckdb.DuckDBPyConnection, folders: Sequence[Path]) -> None:
    """Shuts a database in: from here on it reaches its own tables and these folders, and no setting can change that."""
    connection.execute("SET allowed_directories = $folders", {"folders": [f"{folder}/" for folder in folders]})
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")


def _copy(connection: duckdb.DuckDBPyConnection, statement: Statement, file: Path) -> int:
    """Writes the result, in the order of the query, and returns its number of rows."""
    columns = ", ".join(casts(connection, statement))
    text = f"SELECT {columns} FROM ({statement.sql}\n)"
    options = f"FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {GROUP_ROWS}"
    answer = tables.run(connection, f"COPY ({text}) TO '{file}' ({options})", statement.values).fetchone()
    assert answer
    return int(answer[0])


def casts(connection: duckdb.DuckDBPyConnection, statement: Statement) -> list[str]:
    """The result's columns, each with its declared type.

    Raises:
        QueryInvalid: the query lacks a column, has it twice, or has it with a type that the report does not declare.
            Its faults have the place of each column in ``statement.columns``.
        duckdb.Error: DuckDB does not accept the query.
    """
    described = tables.run(connection, f"DESCRIBE ({statement.sql}\n)", statement.values).fetchall()
    given = {str(name).lower(): str(kind) for name, kind, *_ in described}
    if statement.is_compiled:
        return [quoted(name) for name, _ in statement.columns]
    written, wrong, names = [], [], [str(name).lower() for name, *_ in described]
    for at, (name, declared) in enumerate(statement.columns):
        pattern, target, allowed = _RESULT_TYPES[declared]
        kind = given.get(name.lower())
        if kind is None:
            detail, allowed = f"the query has no column {name}", f"one of {', '.join(each[0] for each in described)}"
            wrong.append(Fault(pointer=pointer("columns", at), detail=detail, allowed=allowed))
        elif names.count(name.lower()) > 1:
            detail, allowed = f"the query has {names.count(name.lower())} columns {name}", "one: SQL ignores the case"
            wrong.append(Fault(pointer=pointer("columns", at), detail=detail, allowed=allowed))
        elif kind != '"NULL"' and not re.fullmatch(pattern, kind):
            detail = f"column {name} is declared {declared}; the query gives {kind}"
            wrong.append(Fault(pointer=pointer("columns", at), detail=detail, allowed=allowed))
        else:
            written.append(_cast(name, kind, declared, target))
    if wrong:
        told = "; ".join(f"{fault['detail']}, allowed: {fault['allowed']}" for fault in wrong)
        raise QueryInvalid(f"{statement.file}: {told}", wrong)
    return written


def _cast(name: str, kind: str, declared: str, target: str) -> str:
    value = quoted(name)
    if declared == "json" and kind != "VARCHAR":
        value = f"CAST(to_json({value}) AS VARCHAR)"
    elif kind == '"NULL"':
        value = f"CAST({value} AS {target or tables.sql_type(declared)})"
    elif target and declared != "json":
        value = f"CAST({value} AS {target})"
    return f"{value} AS {quoted(name)}"


class _Watch:
    """Why a query was interrupted."""

    failure: BaseException | None = None

    def check(self) -> None:
        """Raises the failure of a query that ended before DuckDB could interrupt it."""
        if self.failure:
            raise self.failure


@contextlib.contextmanager
def _watched(
    connection: duckdb.DuckDBPyConnection, seconds: float, still_wanted: Callable[[], None]
) -> Iterator[_Watch]:
    """Interrupts the query after ``seconds``, or once it is no longer wanted.

    Lambda cannot cancel an invocation, and ends one that takes too long without an error that says why.
    """
    watch, ended = _Watch(), threading.Event()

    def look() -> None:
        end = time.monotonic() + seconds
        while not ended.wait(max(0, min(_LOOK, end - time.monotonic()))):
            try:
                if time.monotonic() >= end:
                    raise QueryTimedOut(
                        f"the query takes longer than {seconds:.0f} seconds: narrow the parameters, or raise "
                        "QueryMemory, which also gives it more CPU"
                    )
                still_wanted()
            except BaseException as failure:
                watch.failure = failure
                while not ended.wait(_AGAIN):  # an interrupt between two statements has no effect
                    connection.interrupt()

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield watch
    finally:
        ended.set()
        thread.join()


def _translated(error: duckdb.Error, where: str, limits: Limits) -> ExportError:
    """An error of DuckDB, without its text: it may quote values of rows.

    Only the class and the line are said, and for a limit, which limit it was.

    Args:
        where: the file of the query, or the dataset that was loaded.
    """
    text, line = str(error), re.search(r"^LINE (\d+):", str(error), re.MULTILINE)
    if line and not where.startswith("dataset "):  # the query begins in the first line of the text that runs
        where += f", line {line[1]}"
    advice = "narrow the parameters, group more rows together, or load fewer columns"
    if isinstance(error, duckdb.OutOfMemoryException):  # also if memory is full because no more data may be spilled
        return QueryTooLarge(
            f"{where}: the query needs more than {limits.memory} MiB of memory and {limits.spill} MiB of spilled data: "
            f"{advice}, or raise QueryMemory"
        )
    if isinstance(error, duckdb.IOException) and "No space left" in text:
        return QueryTooLarge(f"{where}: the tables, the spilled data and the result do not fit on the disk: {advice}")
    if isinstance(error, _INVALID):
        return QueryInvalid(f"{where}: DuckDB refuses the query ({type(error).__name__}); `make check` says why")
    return QueryFailed(f"{where}: the query fails on the data ({type(error).__name__})")


_INVALID = (
    duckdb.ParserException,
    duckdb.BinderException,
    duckdb.CatalogException,
    duckdb.PermissionException,
    duckdb.NotImplementedException,
    duckdb.SyntaxException,
)


_PREFIX = "report-exports-query-"


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """An empty folder for one query."""
    with tempfile.TemporaryDirectory(prefix=f"{_PREFIX}{os.getpid()}-") as folder:
        yield Path(folder)


def remove_left_over() -> None:
    """Removes the folders of queries whose process ended before it could. A function calls it when it starts.

    Lambda keeps /tmp when it starts a process again, for example after one that had no memory left ("Understanding the
    Lambda execution environment lifecycle", failures during invoke).
    """
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*-*"):
        process = folder.name.removeprefix(_PREFIX).partition("-")[0]
        if process == str(os.getpid()) or not Path("/proc", process).exists():
            shutil.rmtree(folder, ignore_errors=True)
