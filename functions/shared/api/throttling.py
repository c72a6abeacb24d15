"""AWS throttles or does not answer: no fault of ours or the caller's, who is asked to come back (503)."""

from collections.abc import Iterator
from contextlib import contextmanager

from shared.api import problems
from shared.api.http import Problem
from shared.lambda_.aws import FAILS, is_throttled, is_transient


def busy(detail: str) -> Problem:
    """The problem 503 ``busy``."""
    return Problem(problems.BUSY, detail)


@contextmanager
def throttling_as_503(outcome: str) -> Iterator[None]:
    """Makes AWS throttling or not answering a problem 503; any other error stays what it is. Also a decorator.

    Args:
        outcome: what the caller may rely on when AWS throttled, such as "Nothing was changed". Without an answer nobody
            knows whether it was done.
    """
    try:
        yield
    except FAILS as error:
        if not is_transient(error):
            raise
        if is_throttled(error):
            raise busy(f"AWS is throttling. {outcome}; send the request again.") from error
        raise busy("AWS did not answer, so it may have been done or not. Look, then send the request again.") from error
