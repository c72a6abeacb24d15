"""Computes from measured figures and public prices what an export costs on AWS, and what alternatives cost.

Prices are those of us-east-1, without free tiers and discounts; :data:`PRICES` names the AWS page of each.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks import polling
from shared.engine import planning
from shared.files.work import ObjectExtent


@dataclass(frozen=True)
class Price:
    """US dollars per ``unit``, and the title of the AWS page with the price."""

    dollars: float
    unit: str
    page: str


PRICES = {
    "lambda x86": Price(0.0000166667, "GB-second", "AWS Lambda Pricing"),
    "lambda arm": Price(0.0000133334, "GB-second", "AWS Lambda Pricing"),
    "lambda request": Price(0.20 / 1e6, "request", "AWS Lambda Pricing"),
    "transition": Price(0.025 / 1e3, "state transition, STANDARD", "AWS Step Functions Pricing"),
    "s3 put": Price(0.005 / 1e3, "PUT, COPY, POST or LIST request", "Amazon S3 pricing"),
    "s3 get": Price(0.0004 / 1e3, "GET or HEAD request", "Amazon S3 pricing"),
    "s3 storage": Price(0.023, "GB-month, S3 Standard", "Amazon S3 pricing"),
    "dynamodb write": Price(
        0.625 / 1e6, "write request unit, on demand", "Amazon DynamoDB pricing for on-demand capacity"
    ),
    "dynamodb read": Price(
        0.125 / 1e6, "read request unit, on demand", "Amazon DynamoDB pricing for on-demand capacity"
    ),
    "api request": Price(3.50 / 1e6, "REST API request", "Amazon API Gateway pricing"),
    "athena": Price(5.00, "TB scanned, at least 10 MB per query", "Amazon Athena pricing"),
    "glue": Price(0.44, "DPU-hour, at least one minute", "AWS Glue pricing"),
}
MEMORY = 1769 / 1024
"""GB of PlanParts and GeneratePart, which is one vCPU ("Configure Lambda function memory")."""
ASSEMBLER_MEMORY = 1.0
SLOWER = 1.5
"""Assumed: seconds on Lambda's processor for one second on the measured machine."""
WAITING = 1.5
"""Assumed: seconds per part that are not CPU time: start, waiting for S3's first bytes."""
ASSEMBLER_SECONDS = 5.0
COPY_SECONDS = 0.02
"""Assumed for AssembleFile: a fixed number of seconds, plus this many per part."""
LIBRARY_FUNCTION_SECONDS = 900
"""Lambda's longest timeout, within which a library must write its file ("Lambda quotas")."""
GLUE_DPU, GLUE_ROWS_PER_SECOND, GLUE_START = 2, 400_000, 40.0
"""Assumed for Glue: the fewest workers, their rows per second, and the seconds before the first row."""
# A child has two: its start, which is charged to the parent ("Transitions in Distributed Map state"), and GeneratePart.
_PARENT_TRANSITIONS, _CHILD_TRANSITIONS = 7, 2
_POLLS = 10  # requests of a client that polls
_KEPT = 7 / 30  # months for which the file and the parts are kept
_WORKERS = 20  # the default of MapConcurrency
_FILE_ROWS = 62_500


API_SECONDS = 0.1
"""Assumed: seconds that an invocation of an API function is billed for."""
_API_MEMORY = 0.5  # GB: MemorySize in template.yaml


@dataclass(frozen=True)
class Measured:
    """A measured way to write a million orders: CPU seconds, and bytes of the file."""

    cpu: float
    size: int


@dataclass(frozen=True)
class Cost:
    """Dollars for one export, by item."""

    compute: float
    transitions: float = 0.0
    requests: float = 0.0
    storage: float = 0.0
    remark: str = ""

    @property
    def making(self) -> float:
        """The cost without storage."""
        return self.compute + self.transitions + self.requests

    @property
    def total(self) -> float:
        """The whole cost."""
        return self.making + self.storage


def ours(rows: int, measured: Measured, source_bytes: float, processor: str) -> Cost:
    """The cost of an export by this project.

    Args:
        rows: rows of the export.
        measured: figures of its format.
        source_bytes: bytes per row of the Parquet source.
        processor: ``x86`` or ``arm``.
    """
    count = parts(rows, source_bytes, measured.size / 1e6 / source_bytes)
    seconds = count * WAITING + measured.cpu * SLOWER * rows / 1e6
    price = PRICES[f"lambda {processor}"].dollars
    assembling = ASSEMBLER_SECONDS + count * COPY_SECONDS
    compute = (seconds * MEMORY + 5 * MEMORY + assembling * ASSEMBLER_MEMORY) * price
    compute += (count + 2 + 1 + _POLLS) * PRICES["lambda request"].dollars
    written = count * 2 + 2 + count + 2  # parts, receipts; plan.json, parts.json; copies; create and complete
    read = count * 6 + math.ceil(rows / _FILE_ROWS)  # plan, receipts, pages of the source
    size = measured.size * rows / 1e6 / 1e9
    return Cost(
        compute,
        (_PARENT_TRANSITIONS + count * _CHILD_TRANSITIONS) * PRICES["transition"].dollars,
        written * PRICES["s3 put"].dollars
        + read * PRICES["s3 get"].dollars
        + 10 * PRICES["dynamodb write"].dollars
        + (10 + _POLLS) * PRICES["dynamodb read"].dollars
        + (1 + _POLLS) * PRICES["api request"].dollars,
        2 * size * _KEPT * PRICES["s3 storage"].dollars,
        f"{count} parts",
    )


def watching(counts: Mapping[str, int]) -> float:
    """The cost of requests that watch exports: counts as those of :func:`benchmarks.polling.count`."""
    second = _API_MEMORY * PRICES["lambda x86"].dollars
    lists, gets = counts.get("ListObjectsV2", 0), counts.get("HeadObject", 0) + counts.get("GetObject", 0)
    return (
        counts["api"] * PRICES["api request"].dollars
        + counts["lambda"] * (PRICES["lambda request"].dollars + API_SECONDS * second)
        + counts[polling.HALF_UNITS] / 2 * PRICES["dynamodb read"].dollars
        + lists * PRICES["s3 put"].dollars
        + gets * PRICES["s3 get"].dollars
    )


def parts(rows: int, source_bytes: float, growth: float) -> int:
    """The number of parts that the planner makes."""
    extents: list[ObjectExtent] = [
        {
            "key": f"{number}",
            "etag": "",
            "offset": 0,
            "rows": min(_FILE_ROWS, rows - start),
            "bytes": int(_FILE_ROWS * source_bytes),
        }
        for number, start in enumerate(range(0, rows, _FILE_ROWS))
    ]
    return len(planning.divide(extents, _WORKERS, growth))


def library(rows: int, measured: Measured, processor: str) -> Cost:
    """The cost of one Lambda function that writes the file with a library, even if it exceeds the timeout."""
    seconds = WAITING + measured.cpu * SLOWER * rows / 1e6
    size = measured.size * rows / 1e6 / 1e9
    return Cost(
        seconds * MEMORY * PRICES[f"lambda {processor}"].dollars,
        storage=size * _KEPT * PRICES["s3 storage"].dollars,
        remark="" if seconds <= LIBRARY_FUNCTION_SECONDS else f"cannot: {seconds / 60:,.0f} of 15 minutes",
    )


def athena(rows: int, measured: Measured, source_bytes: float) -> Cost:
    """The cost of Athena UNLOAD, which writes many files and no xlsx."""
    scanned = max(rows * source_bytes, 10e6)
    size = measured.size * rows / 1e6 / 1e9
    storage = size * _KEPT * PRICES["s3 storage"].dollars
    return Cost(scanned / 1e12 * PRICES["athena"].dollars, storage=storage, remark="many files")


def glue(rows: int, measured: Measured) -> Cost:
    """The cost of a Spark job on Glue, which writes many files and no xlsx."""
    seconds = max(60.0, GLUE_START + rows / GLUE_ROWS_PER_SECOND)
    size = measured.size * rows / 1e6 / 1e9
    storage = size * _KEPT * PRICES["s3 storage"].dollars
    return Cost(seconds / 3600 * GLUE_DPU * PRICES["glue"].dollars, storage=storage, remark="many files")
