"""Time in the form that the records use."""

import datetime


def now() -> datetime.datetime:
    """The current time in UTC."""
    return datetime.datetime.now(datetime.UTC)


def stamp(moment: datetime.datetime) -> str:
    """RFC 3339 in UTC with milliseconds, as Step Functions writes ``$$.State.EnteredTime``."""
    return moment.astimezone(datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse(text: str) -> datetime.datetime:
    """The time that a :func:`stamp` stands for."""
    return datetime.datetime.fromisoformat(text)
