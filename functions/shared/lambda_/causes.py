"""An error of a function that Step Functions can hand on as the cause of an execution's failure."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from shared.lambda_.telemetry import logger

# A Fail state's cause has at most 32,768 characters (Step Functions API reference, "ExecutionFailedEventDetails"). It
# is JSON of the Catch output, in which the function's error is JSON again: one character may become 14.
_MESSAGE = 1_500
_FRAMES = 20


def bounded(handler: Callable[..., Any]) -> Callable[..., Any]:
    """Makes a handler raise errors whose message has at most 1,500 characters; the log holds what is cut off."""

    @wraps(handler)
    def bounded_handler(*given: Any) -> Any:
        try:
            return handler(*given)
        except Exception as error:
            raise _shortened(error) from error.__cause__

    return bounded_handler


def _shortened(error: Exception) -> Exception:
    """The error itself, or one of the same name with the beginning of its message; with its innermost frames."""
    trace, message = error.__traceback__, str(error)
    if len(message) > _MESSAGE:
        logger.exception("the whole error")
        error = type(type(error).__name__, (Exception,), {})(f"{message[:_MESSAGE]}…")
    frames = []
    while trace:
        frames.append(trace)
        trace = trace.tb_next
    return error.with_traceback(frames[-_FRAMES:][0])
