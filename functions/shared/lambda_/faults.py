"""A fault: one thing that is wrong with an input, where it is, and what would be right."""

from typing import TypedDict


class Fault(TypedDict):
    """One thing that is wrong with an input."""

    pointer: str
    detail: str
    allowed: str


def sentence(fault: Fault) -> str:
    """A fault as one line of text."""
    return f"{fault['pointer'] or '(the whole)'}: {fault['detail']}, allowed: {fault['allowed']}"


def pointer(*tokens: object) -> str:
    """RFC 6901 pointer of a path: ``pointer("a", 0)`` is ``/a/0``."""
    return "".join("/" + str(token).replace("~", "~0").replace("/", "~1") for token in tokens)


def tokens(where: str) -> list[str]:
    """The path of a pointer: ``tokens("/a/0")`` is ``["a", "0"]``."""
    return [token.replace("~1", "/").replace("~0", "~") for token in where.split("/")[1:]]
