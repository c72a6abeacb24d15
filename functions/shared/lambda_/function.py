"""The frame of every function: telemetry around it, its contract before it."""

from collections.abc import Callable
from typing import Any, cast

from aws_lambda_powertools.utilities.typing import LambdaContext

from shared.errors import EngineFailed, ServiceUnavailable
from shared.lambda_ import aws, contract
from shared.lambda_.causes import bounded
from shared.lambda_.telemetry import logger, metrics, tag_logs, tracer

Event = dict[str, Any]
Handler = Callable[[Event, LambdaContext], Any]


def function(app_file: str) -> Callable[[Callable[[Event], Any]], Handler]:
    """Makes a Lambda handler of ``work(event)``.

    The event is checked against event.schema.json beside ``app_file`` before any work, every log line carries the
    export's id where the event has one, and metrics are flushed at the end.

    Raises:
        InvalidEvent: when the event breaks the contract.
        ServiceUnavailable: when AWS throttled or did not answer, whatever the SDK tried.
        EngineFailed: when a library in Rust panicked.
    """
    rules = contract.event_contract(app_file)

    def frame(work: Callable[[Event], Any]) -> Handler:
        @logger.inject_lambda_context(clear_state=True)
        @tracer.capture_lambda_handler(capture_response=False)
        @bounded
        def handler(event: Event, _context: LambdaContext) -> Any:
            contract.require(rules, event)
            if isinstance(export_id := event.get("export_id"), str):
                tag_logs(export_id)
            try:
                return work(event)
            except aws.FAILS as error:
                if aws.is_transient(error):
                    raise ServiceUnavailable(str(error)) from error
                raise
            except BaseException as error:
                if not _is_panic(error):
                    raise
                raise EngineFailed(f"a library panicked: {error}") from error
            finally:
                if metrics.metric_set:
                    metrics.flush_metrics()

        return cast(Handler, handler)

    return frame


def _is_panic(error: BaseException) -> bool:
    """Whether a library in Rust, such as polars, met a defect of its own.

    PyO3 derives PanicException from BaseException, makes one for each library and exports none, so its name tells.
    Lambda catches Exception only: a panic would end the process, which looks as if it had run out of memory.
    """
    return f"{type(error).__module__}.{type(error).__name__}" == "pyo3_runtime.PanicException"
