"""Bounds the errors of functions, so that Step Functions can pass them on as the cause of a failed execution."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from shared.lambda_.telemetry import logger

# The cause of a Fail state has at most 32,768 characters (Step Functions API reference, "ExecutionFailedEventDetails").
# It is JSON of the Catch output, which contains the function's error as JSON: one character may become 14.
_MESSAGE = 1_500
_FRAMES = 20


def bounded(handler: Callable[..., Any]) -> Callable[..., Any]:
    """Limits the message of an error that a handler raises to 1,500 characters. The log has the complete message."""

    @wraps(handler)
    def bounded_handler(*arguments: Any) -> Any:
        try:
            return handler(*arguments)
        except Exception as error:
            raise _shortened(error) from error.__cause__

    return bounded_handler


def _shortened(error: Exception) -> Exception:
    """The error, or one of the same name with a shortened message; it keeps only the innermost frames."""
    trace, message = error.__traceback__, str(error)
    if len(message) > _MESSAGE:
        logger.exception("complete error")
        error = type(type(error).__name__, (Exception,), {})(f"{message[:_MESSAGE]}…")
    frames = []
    while trace:
        frames.append(trace)
        trace = trace.tb_next
    return error.with_traceback(frames[-_FRAMES:][0])
