"""What a person is told of an error: what it means, whether a retry helps, and what to do."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from shared.records.table import Failure


class Explanation(NamedTuple):
    """What a person needs to know of an error: is a retry likely to help, and what to do."""

    title: str
    retryable: bool
    remedy: str


_OPERATOR = "Tell the operators: the execution in the Step Functions console shows the failing state."
_OUT_OF_MEMORY = Explanation("A function ran out of memory", True, "Retry. If it happens again, raise its MemorySize.")
EXPLANATIONS = {
    "UnknownReport": Explanation("The report is gone", False, "Request one of the reports that GET /reports lists."),
    "ParametersRefused": Explanation(
        "The report has changed", False, "Request the export again, with the parameters that GET /reports lists."
    ),
    "InvalidDefinition": Explanation("The report's definition is broken", False, "Correct reports/<report>.yaml."),
    "ColumnMismatch": Explanation(
        "The report does not fit its data", False, "Correct the column in reports/<report>.yaml, or the dataset."
    ),
    "ExpressionFailed": Explanation(
        "An expression of the report fails on the data", False, "Correct the expression in reports/<report>.yaml."
    ),
    "SourceMissing": Explanation(
        "The data is not there",
        False,
        "Put files under the folder, or make the table, that the detail names, then retry.",
    ),
    "SourceUnavailable": Explanation(
        "The data could not be fetched",
        True,
        "Retry. If the detail speaks of permission, the role needs it first.",
    ),
    "ServiceUnavailable": Explanation("AWS throttled or did not answer", True, "Retry."),
    "SourceUnreadable": Explanation(
        "A source file cannot be read", False, "Replace the file that the detail names with a valid one, then retry."
    ),
    "TableUnsupported": Explanation(
        "The dataset is a table of a format that exports do not read",
        False,
        "Write the table's current rows into a folder of Parquet files, and name that folder in reports/<report>.yaml.",
    ),
    "ValueOutOfRange": Explanation(
        "A date or time in the data is out of range",
        False,
        "Correct the values in the column that the detail names, then retry.",
    ),
    "SourceChanged": Explanation(
        "The data changed during the export", True, "Retry: the new attempt plans from the data as it is now."
    ),
    "SourceSchemaMismatch": Explanation(
        "The source files differ in their columns", False, "Rewrite the file that the detail names, then retry."
    ),
    "RowGroupTooLarge": Explanation(
        "A source file's row groups are too large",
        False,
        "Rewrite the file that the detail names with smaller row groups, or raise GeneratePart's EphemeralStorage.",
    ),
    "TextTooLong": Explanation(
        "A text does not fit in the format", False, "Request another format, or shorten the column by an expression."
    ),
    "TextNotEncodable": Explanation(
        "A text does not fit in the encoding",
        False,
        "Request the encoding utf-8 or utf-16le, or replace the character by an expression.",
    ),
    "TooManyRows": Explanation(
        "The export is too large", False, "Narrow the parameters, or raise MaxRowsPerExport in the stack."
    ),
    "TooManyParts": Explanation(
        "The file is too large", False, "Narrow the parameters, or join small files of the dataset into larger ones."
    ),
    "PartChanged": Explanation("A part is not the one that was made", True, "Retry: that part is made again."),
    "RowsMissing": Explanation("The file would be incomplete", True, "Retry: only the missing parts are made again."),
    "EngineChanged": Explanation(
        "A new version was deployed during the export", True, "Retry: the new attempt makes every part anew."
    ),
    "EngineFailed": Explanation(
        "The engine failed on the data",
        False,
        "Tell the operators: the engine has a defect, and the detail says where. Other parameters may avoid it.",
    ),
    "States.Timeout": Explanation(
        "A step took too long", True, "Retry. If it happens again, raise PartTimeoutSeconds or narrow the parameters."
    ),
    "Sandbox.Timedout": Explanation(
        "A function took too long", True, "Retry. If it happens again, raise PartTimeoutSeconds or narrow it."
    ),
    "Runtime.ExitError": Explanation(
        "A function ran out of memory or was killed", True, "Retry. If it happens again, raise its MemorySize."
    ),
    "Runtime.OutOfMemory": _OUT_OF_MEMORY,  # Lambda's name
    "MemoryError": _OUT_OF_MEMORY,  # Python's
    "Lambda.Unknown": Explanation(
        "A function timed out or was killed", True, "Retry. If it happens again, raise its timeout or MemorySize."
    ),
    "ExecutionTimedOut": Explanation(
        "The export took too long",
        True,
        "Retry: the parts that were made are kept. If it happens again, narrow it or raise MachineTimeoutSeconds.",
    ),
    "ExecutionAborted": Explanation("The export was stopped by an operator", True, "Retry."),
    "ExecutionVanished": Explanation("The export's execution is gone", True, "Retry."),
    "ExecutionEnded": Explanation("The export ended without a file", True, "Retry."),
    "States.DataLimitExceeded": Explanation("A step returned too much", False, _OPERATOR),
    "States.ItemReaderFailed": Explanation("The list of parts could not be read", False, _OPERATOR),
    "States.Permissions": Explanation("The state machine lacks a permission", False, _OPERATOR),
    "States.ResultWriterFailed": Explanation("The parts' results could not be written", False, _OPERATOR),
    "States.Runtime": Explanation("The state machine's definition does not fit its data", False, _OPERATOR),
    "Lambda.TooManyRequestsException": Explanation(
        "The account has no free Lambda concurrency", True, "Retry later, or lower MapConcurrency."
    ),
}
WARNINGS = {
    "NoCellReferences": (
        "Cells do not say where they stand",
        "Excel and LibreOffice read the file. Readers that need references, such as exceljs, do not: for them,"
        " narrow the parameters.",
    ),
}
"""What a complete file lacks, and what to do about it, by its type."""
_SERVICE = Explanation("An AWS service failed", True, "Retry.")
_UNEXPECTED = Explanation("Something unexpected failed", False, _OPERATOR)


def explain(failure: Failure) -> dict[str, Any]:
    """The ``error`` object of an export.

    Returns:
        ``{type, title, detail, state, part, retryable, remedy}``; ``part`` is None where no part failed.
    """
    name = failure["type"]
    service = name.split(".")[0] in {"Lambda", "DynamoDB", "SQS", "S3", "States"}
    known = EXPLANATIONS.get(name) or (_SERVICE if service else _UNEXPECTED)
    return {
        "type": name,
        "title": known.title,
        "detail": _detail(failure["error"]),
        "state": failure["state"],
        "part": int(failure["part"]) if failure["part"] else None,
        "retryable": known.retryable,
        "remedy": known.remedy,
    }


def warn(name: str) -> dict[str, str]:
    """The ``warning`` object of an export, ``{type, title, remedy}``."""
    title, remedy = WARNINGS[name]
    return {"type": name, "title": title, "remedy": remedy}


def _detail(error: str) -> str:
    """A Lambda function's Cause is JSON of the exception; a service's is text; some errors have none."""
    cause = json.loads(error).get("Cause") or ""
    try:
        parsed = json.loads(cause)
    except ValueError:
        return str(cause)
    return str(parsed["errorMessage"]) if isinstance(parsed, dict) and "errorMessage" in parsed else str(cause)
