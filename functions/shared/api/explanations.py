"""What users read about an error: what it means, whether a retry is likely to help, and what to do."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from shared.records.table import Failure


_REPORT = "<report>"
"""Stands for the report's id in a remedy."""


class Explanation(NamedTuple):
    """A title for an error, whether a retry is likely to help, and what to do."""

    title: str
    retryable: bool
    remedy: str


_OPERATOR = "Tell the operators. The execution in the Step Functions console shows the failed state."
_OUT_OF_MEMORY = Explanation(
    "A function ran out of memory", True, "Retry. If it happens again, raise the function's MemorySize."
)
EXPLANATIONS = {
    "UnknownReport": Explanation("The report no longer exists", False, "Request a report that GET /reports lists."),
    "ParametersRefused": Explanation(
        "The report has changed", False, "Request the export again. GET /reports lists the parameters and columns."
    ),
    "InvalidDefinition": Explanation("The report's definition is not valid", False, "Correct reports/<report>.yaml."),
    "ColumnMismatch": Explanation(
        "The report does not match its data", False, "Correct the column in reports/<report>.yaml, or the dataset."
    ),
    "ExpressionFailed": Explanation(
        "An expression of the report failed on the data", False, "Correct the expression in reports/<report>.yaml."
    ),
    "SourceMissing": Explanation(
        "The source data does not exist",
        False,
        "Add files to the folder, or create the table, that the detail names. Then retry.",
    ),
    "SourceUnavailable": Explanation(
        "The source data could not be read from AWS",
        True,
        "Retry. If the detail names a missing permission, grant it to the function's role first.",
    ),
    "ServiceUnavailable": Explanation("AWS throttled or did not answer", True, "Retry."),
    "SourceUnreadable": Explanation(
        "A source file cannot be read", False, "Replace the file that the detail names with a valid one. Then retry."
    ),
    "TableUnsupported": Explanation(
        "The dataset uses an unsupported table format",
        False,
        "Write the table's current rows into a folder of Parquet files, and name that folder in reports/<report>.yaml.",
    ),
    "ValueOutOfRange": Explanation(
        "A date or time in the data is out of range",
        False,
        "Correct the values in the column that the detail names. Then retry.",
    ),
    "SourceChanged": Explanation(
        "The data changed during the export", True, "Retry. The new attempt uses the current data."
    ),
    "SourceSchemaMismatch": Explanation(
        "The source files have different columns", False, "Rewrite the file that the detail names. Then retry."
    ),
    "RowGroupTooLarge": Explanation(
        "A source file's row groups are too large",
        False,
        "Rewrite the file that the detail names with smaller row groups, or use fewer columns in the report.",
    ),
    "QueryInvalid": Explanation(
        "The report's query is not valid", False, "Correct the file that the detail names. `make check` says why."
    ),
    "QueryFailed": Explanation(
        "The report's query failed on the data", False, "Correct the query or the data that the detail names."
    ),
    "QueryTooLarge": Explanation(
        "The report's query is too large", False, "Narrow the parameters, or change the query as the detail says."
    ),
    "QueryTimedOut": Explanation(
        "The report's query takes too long", False, "Narrow the parameters, or raise QueryMemory in the stack."
    ),
    "QueryChanged": Explanation(
        "The report has changed, or a new version was deployed", True, "Retry. The new attempt runs the new query."
    ),
    "TextTooLong": Explanation(
        "A text is too long for the format", False, "Request another format, or shorten the column with an expression."
    ),
    "TextNotEncodable": Explanation(
        "The encoding cannot represent a character",
        False,
        "Request the encoding utf-8 or utf-16le, or replace the character with an expression.",
    ),
    "TooManyRows": Explanation(
        "The export has too many rows", False, "Narrow the parameters, or raise MaxRowsPerExport in the stack."
    ),
    "TooManyParts": Explanation(
        "The file needs too many parts", False, "Narrow the parameters, or merge small files of the dataset."
    ),
    "PartChanged": Explanation("A part was changed or removed", True, "Retry. The new attempt makes that part again."),
    "RowsMissing": Explanation(
        "The file would be incomplete", True, "Retry. The new attempt makes only the missing parts."
    ),
    "NewerRecord": Explanation(
        "A newer release wrote the export", False, "Tell the operators to deploy that release again. Then retry."
    ),
    "EngineChanged": Explanation(
        "A new version was deployed during the export", True, "Retry. The new attempt makes every part again."
    ),
    "EngineFailed": Explanation(
        "The engine failed on the data",
        False,
        "Tell the operators. The engine has a bug, and the detail says where. Other parameters may avoid it.",
    ),
    "States.Timeout": Explanation(
        "A step took too long", True, "Retry. If it happens again, raise PartTimeoutSeconds or narrow the parameters."
    ),
    "Sandbox.Timedout": Explanation(
        "A function took too long",
        True,
        "Retry. If it happens again, raise PartTimeoutSeconds or narrow the parameters.",
    ),
    "Runtime.ExitError": Explanation(
        "A function ran out of memory or was killed",
        True,
        "Retry. If it happens again, raise the function's MemorySize.",
    ),
    "Runtime.OutOfMemory": _OUT_OF_MEMORY,  # Lambda's name
    "MemoryError": _OUT_OF_MEMORY,  # Python's
    "Lambda.Unknown": Explanation(
        "A function timed out or was killed",
        True,
        "Retry. If it happens again, raise the function's timeout or MemorySize.",
    ),
    "ExecutionTimedOut": Explanation(
        "The export took too long",
        True,
        "Retry. Finished parts are kept. If it happens again, narrow the parameters or raise MachineTimeoutSeconds.",
    ),
    "ExecutionAborted": Explanation("An operator stopped the export", True, "Retry."),
    "ExecutionVanished": Explanation("The export's execution no longer exists", True, "Retry."),
    "ExecutionEnded": Explanation("The export ended without a file", True, "Retry."),
    "States.DataLimitExceeded": Explanation("A step returned too much", False, _OPERATOR),
    "States.ItemReaderFailed": Explanation("The list of parts could not be read", False, _OPERATOR),
    "States.Permissions": Explanation("The state machine lacks a permission", False, _OPERATOR),
    "States.ResultWriterFailed": Explanation("The parts' results could not be written", False, _OPERATOR),
    "States.Runtime": Explanation("The state machine could not process its data", False, _OPERATOR),
    "Lambda.TooManyRequestsException": Explanation(
        "The account has no free Lambda concurrency", True, "Retry later, or lower MapConcurrency."
    ),
}
WARNINGS = {
    "NoCellReferences": (
        "The cells have no references",
        "Excel and LibreOffice read the file. Readers that need cell references, such as exceljs, do not. For them,"
        " narrow the parameters.",
    ),
}
"""By type: what a complete file lacks, and what to do about it."""
_INTERNAL = re.compile(r"(?:s3://|arn:|\b(?:work|exports)/)\S+?([\"'`;:,.)\]]*)(?=\s|$)")
"""An address in S3, an ARN, or a key of the exports bucket, and the punctuation after it."""
_SERVICE = Explanation("An AWS service failed", True, "Retry.")
_UNEXPECTED = Explanation("An unexpected error occurred", False, _OPERATOR)


def explain(failure: Failure, report: str | None = None) -> dict[str, Any]:
    """The ``error`` object of an export.

    Args:
        report: id of the export's report, for the remedy, which says ``<report>`` if it is None.

    Returns:
        ``{type, title, detail, state, part, retryable, remedy}``; ``part`` is None when no part failed.
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
        "remedy": known.remedy.replace(_REPORT, report or _REPORT),
    }


def explain_to_user(failure: Failure, report: str) -> dict[str, Any]:
    """Like :func:`explain`, for a user: names of objects and resources of AWS in the detail are hidden."""
    error = explain(failure, report)
    detail, hidden = _INTERNAL.subn(r"[hidden]\1", error["detail"])
    return error | {"detail": f"{detail} (the operators can see the complete detail)"} if hidden else error


def warn(name: str) -> dict[str, str]:
    """The ``warning`` object of an export, ``{type, title, remedy}``."""
    title, remedy = WARNINGS[name]
    return {"type": name, "title": title, "remedy": remedy}


def _detail(error: str) -> str:
    """The Cause of a Lambda function is JSON of the exception, that of a service is text. Some errors have none."""
    cause = json.loads(error).get("Cause") or ""
    try:
        parsed = json.loads(cause)
    except ValueError:
        return str(cause)
    return str(parsed["errorMessage"]) if isinstance(parsed, dict) and "errorMessage" in parsed else str(cause)
