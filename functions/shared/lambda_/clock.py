"""Time as the records hold it."""

import datetime


def now() -> datetime.datetime:
    """The time now, UTC."""
    return datetime.datetime.now(datetime.UTC)


def stamp(moment: datetime.datetime) -> str:
    """RFC 3339 in UTC with milliseconds, the form in which Step Functions writes ``$$.State.EnteredTime``."""
    return moment.astimezone(datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse(text: str) -> datetime.datetime:
    """The moment of a :func:`stamp`."""
    return datetime.datetime.fromisoformat(text)
