"""A fault: one error in an input, with its place and what is allowed there."""

from typing import TypedDict


class Fault(TypedDict):
    """One error in an input."""

    pointer: str
    detail: str
    allowed: str


def sentence(fault: Fault) -> str:
    """A fault as one line of text."""
    place = f"{fault['pointer']}: " if fault["pointer"] else ""
    return f"{place}{fault['detail']}, allowed: {fault['allowed']}"


def pointer(*tokens: object) -> str:
    """RFC 6901 pointer of a path: ``pointer("a", 0)`` is ``/a/0``."""
    return "".join("/" + str(token).replace("~", "~0").replace("/", "~1") for token in tokens)


def tokens(where: str) -> list[str]:
    """The path of a pointer: ``tokens("/a/0")`` is ``["a", "0"]``."""
    return [token.replace("~1", "/").replace("~0", "~") for token in where.split("/")[1:]]
