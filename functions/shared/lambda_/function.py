"""The frame of every function: it checks the contract and adds telemetry."""

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
    """Makes a Lambda handler from ``work(event)``.

    The handler first checks the event against the event.schema.json beside ``app_file``. If the event has an export's
    id, every log line has it too. At the end the handler flushes the metrics.

    Raises:
        InvalidEvent: when the event violates the contract.
        ServiceUnavailable: when AWS throttled or did not answer, despite the retries of the SDK.
        EngineFailed: when a Rust library panicked.
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
    """Whether the error is a panic of a Rust library such as polars, that is, a bug in the library.

    PyO3 derives PanicException from BaseException, creates one class for each library and exports none, so only the
    name identifies it. Lambda catches Exception only: a panic would end the process, which looks like out of memory.
    """
    return f"{type(error).__module__}.{type(error).__name__}" == "pyo3_runtime.PanicException"
