"""What can go wrong with an export, named.

A worker raises one of these; Step Functions stores the class name as ``Error`` and the message within ``Cause``;
ReadExports turns both into the ``error`` a person reads, with what to do about it (:func:`explain`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shared.lambda_.faults import Fault


class ExportError(Exception):
    """Base of every error of our own. Its message says what was wrong, where, and what is allowed.

    ``faults`` are the same with their places, where a definition is at fault.
    """

    def __init__(self, message: str, faults: Sequence[Fault] = ()) -> None:
        super().__init__(message)
        self.faults = faults


class InvalidEvent(ExportError):
    """An event breaks the function's event.schema.json."""


class ParametersRefused(ExportError):
    """The report's definition changed since the request: it refuses the request's parameters now."""


class UnknownReport(ExportError):
    """The record names a report that this deployment does not have."""


class InvalidDefinition(ExportError):
    """A report's definition breaks report.schema.json or contradicts itself."""


class ColumnMismatch(ExportError):
    """A column or parameter of the definition does not fit the source's schema."""


class ExpressionFailed(ExportError):
    """An expression of the definition fails on a value of the source."""


class SourceMissing(ExportError):
    """A dataset has no files at all, or there is no such table."""


class ServiceUnavailable(ExportError):
    """AWS throttled or did not answer, though it may do so later."""


class SourceUnavailable(ExportError):
    """AWS did not hand out a source object or table, though it may do so later or with another permission."""


class SourceUnreadable(ExportError):
    """A source object is not readable Parquet."""


class TableUnsupported(ExportError):
    """A dataset is a table of a format, or of a version of it, whose rows are not those of its files."""


class ValueOutOfRange(ExportError):
    """A date, time or timestamp of the source lies beyond what can be written exactly."""


class SourceChanged(ExportError):
    """A source object was replaced or removed, or a table's items are more or fewer, after it was planned."""


class SourceSchemaMismatch(ExportError):
    """The files of one dataset do not have the same columns."""


class RowGroupTooLarge(ExportError):
    """A row group of a source file does not fit on a worker's disk."""


class TextTooLong(ExportError):
    """A text does not fit in a cell of the format."""


class TextNotEncodable(ExportError):
    """A text has a character that the file's encoding does not have."""


class TooManyRows(ExportError):
    """The export would read more rows than MaxRowsPerExport."""


class TooManyParts(ExportError):
    """A file would need more parts than S3 allows."""


class PartChanged(ExportError):
    """A part was replaced or removed after its receipt was written."""


class RowsMissing(ExportError):
    """Rows read are not the rows planned, or a part has no receipt: a short file is never served."""


class EngineChanged(ExportError):
    """A plan was made by another version of the engine: parts of two versions would not fit into one file."""


class EngineFailed(ExportError):
    """A library in Rust, such as the engine (polars), panicked: it met a defect of its own."""


class NotRunning(ExportError):
    """The record is no longer RUNNING this attempt: it was cancelled, retried or removed."""
