"""AWS throttles or does not answer: the API returns 503, and the caller retries."""

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
    """Raises a problem 503 when AWS throttles or does not answer. Other errors pass unchanged. Also a decorator.

    Args:
        outcome: what is certain when AWS throttled, such as "Nothing was changed". When AWS did not answer, the outcome
            is unknown.
    """
    try:
        yield
    except FAILS as error:
        if not is_transient(error):
            raise
        if is_throttled(error):
            raise busy(f"AWS is throttling. {outcome}. Send the request again.") from error
        raise busy("AWS did not answer. The outcome is unknown. Check before you retry.") from error
