"""The errors of an export, by name.

A worker raises one of these. Step Functions stores the class name as ``Error`` and the message in ``Cause``.
ReadExports turns both into the ``error`` that users read, with a remedy (:func:`explain`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shared.lambda_.faults import Fault


class ExportError(Exception):
    """Base class of the project's errors. The message says what is wrong, where, and what is allowed.

    ``faults`` lists the faults of a report's definition with their places.
    """

    def __init__(self, message: str, faults: Sequence[Fault] = ()) -> None:
        super().__init__(message)
        self.faults = faults


class InvalidEvent(ExportError):
    """An event violates the function's event.schema.json."""


class ParametersRefused(ExportError):
    """The report's definition changed after the request, and no longer accepts the request."""


class NewerRecord(ExportError):
    """A newer release wrote the record, and this one must not read it."""


class UnknownReport(ExportError):
    """The record names a report that this deployment does not have."""


class InvalidDefinition(ExportError):
    """A report's definition violates report.schema.json or contradicts itself."""


class ColumnMismatch(ExportError):
    """A column or parameter of the definition does not match the source's schema."""


class ExpressionFailed(ExportError):
    """An expression of the definition fails on a value of the source."""


class SourceMissing(ExportError):
    """The dataset has no files, or the table does not exist."""


class ServiceUnavailable(ExportError):
    """AWS throttled or did not answer. A later call may succeed."""


class SourceUnavailable(ExportError):
    """AWS did not return a source object or table. A later call, or one with another permission, may succeed."""


class SourceUnreadable(ExportError):
    """A source object is not readable."""


class TableUnsupported(ExportError):
    """The dataset is a table of a format (or version) whose rows are not simply the rows of its files."""


class ValueOutOfRange(ExportError):
    """A date, time or timestamp of the source is outside the range that can be written exactly."""


class SourceChanged(ExportError):
    """After planning, a source object was replaced or removed, or the number of a table's items changed."""


class SourceSchemaMismatch(ExportError):
    """The files of a dataset have different columns."""


class RowGroupTooLarge(ExportError):
    """A row group of a source file is too large for a part or a query: for the disk, or for the memory."""


class QueryInvalid(ExportError):
    """DuckDB does not accept a report's SQL, or its result does not have the report's columns."""


class QueryFailed(ExportError):
    """A report's SQL fails on the data. The message never holds a value of a row."""


class QueryTooLarge(ExportError):
    """A query needs more memory, disk or rows than it may use."""


class QueryTimedOut(ExportError):
    """A query did not end in the time that it may take."""


class QueryChanged(ExportError):
    """The report was changed, or a new version deployed, between a query and its plan."""


class TextTooLong(ExportError):
    """A text is too long for a cell of the format."""


class TextNotEncodable(ExportError):
    """A text has a character that the file's encoding cannot represent."""


class TooManyRows(ExportError):
    """The export would read more rows than MaxRowsPerExport."""


class TooManyParts(ExportError):
    """A file would need more parts than S3 allows."""


class PartChanged(ExportError):
    """A part was replaced or removed after its receipt was written."""


class RowsMissing(ExportError):
    """The rows read differ from the rows planned, or a part has no receipt. An incomplete file is never served."""


class EngineChanged(ExportError):
    """Another version of the engine made the plan. Parts of two versions cannot be combined into one file."""


class EngineFailed(ExportError):
    """A Rust library, such as the engine (polars), panicked because of a bug in it."""


class NotRunning(ExportError):
    """The record is no longer RUNNING this attempt: the export was cancelled, retried or removed, or has ended."""
