"""Parses JSONPath and intrinsic functions as the Amazon States Language defines them."""

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from antlr4 import CommonTokenStream, InputStream  # type: ignore[import-untyped]
from antlr4.error.ErrorListener import ErrorListener  # type: ignore[import-untyped]
from jsonpath_ng.ext.parser import parse
from moto.stepfunctions.parser.asl.antlr.runtime.ASLIntrinsicLexer import ASLIntrinsicLexer
from moto.stepfunctions.parser.asl.antlr.runtime.ASLIntrinsicParser import ASLIntrinsicParser

ARGUMENTS = {
    "Array": (0, 1000), "ArrayContains": (2, 2), "ArrayGetItem": (2, 2), "ArrayLength": (1, 1),
    "ArrayPartition": (2, 2), "ArrayRange": (3, 3), "ArrayUnique": (1, 1), "Base64Decode": (1, 1),
    "Base64Encode": (1, 1), "Format": (1, 1000), "Hash": (2, 2), "JsonMerge": (3, 3), "JsonToString": (1, 1),
    "MathAdd": (2, 2), "MathRandom": (2, 3), "StringSplit": (2, 2), "StringToJson": (1, 1), "UUID": (0, 0),
}  # fmt: skip
"""The intrinsic functions, each with its minimum and maximum number of arguments
("Intrinsic functions for JSONPath states")."""


class Wrong(Exception):
    """A path or an intrinsic function is wrong; the message says why."""


@cache
def names(text: str) -> tuple[str, ...]:
    """The fields of a JSONPath from the root, up to the first step that is not a plain field.

    Raises:
        Wrong: the path does not parse.
    """
    try:
        parse(text)
    except Exception as error:  # the lexer and the parser have different exceptions
        raise Wrong(f"{text} is not a JSONPath: {error}") from None
    plain = re.match(r"\$((?:\.[A-Za-z_][\w-]*)*)", text)
    return tuple(plain[1].split(".")[1:]) if plain else ()


def is_reference(text: str) -> bool:
    """Whether a JSONPath can match only one value (Amazon States Language, "Reference Paths")."""
    return re.fullmatch(r"\$(\.[A-Za-z_][\w-]*|\[\d+\]|\['[^']+'\])*", text) is not None


@cache
def intrinsic(text: str) -> tuple[str, tuple[str, ...]]:
    """The name of the called intrinsic function, and every path that the call reads.

    Raises:
        Wrong: the call does not parse, or it has too few or too many arguments.
    """
    lexer = ASLIntrinsicLexer(InputStream(text))
    parser: Any = ASLIntrinsicParser(CommonTokenStream(lexer))
    for each in (lexer, parser):
        each.removeErrorListeners()
        each.addErrorListener(_Listener())
    call = parser.func_decl().states_func_decl()
    return call.state_fun_name().getText(), tuple(_paths(call))


class _Listener(ErrorListener):  # type: ignore[misc]
    def syntaxError(self, parser: Any, symbol: Any, line: int, column: int, message: str, error: Any) -> None:  # noqa: N802
        raise Wrong(f"is not a call of an intrinsic function, at character {column + 1}: {message}")


def _paths(call: Any) -> Iterator[str]:
    name, arguments = call.state_fun_name().getText(), call.func_arg_list().func_arg()
    texts = [each.getText() for each in arguments]
    least, most = ARGUMENTS[name]
    if not least <= len(texts) <= most:
        documented = least if least == most else f"{least} to {most}"
        raise Wrong(f"States.{name} has {len(texts)} arguments; AWS documents {documented}")
    if name == "Format" and texts[0].startswith("'") and texts[0].count("{}") != len(texts) - 1:
        raise Wrong(f"{texts[0]} has {texts[0].count('{}')} placeholders for {len(texts) - 1} values")
    for argument, text in zip(arguments, texts, strict=True):
        if text.startswith("States."):
            yield from _paths(argument.states_func_decl())
        elif text.startswith("$"):
            yield text
