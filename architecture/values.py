"""Values of a template: as text, in each case of their conditions, with other names, and what differs between two."""

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from checks.repository import Path

NOTHING = {"Ref": "AWS::NoValue"}
_NAMED_BY = ("Id", "Name", "Sid", "Key", "AttributeName", "IndexName", "DeviceName")
"""The fields that name an item of a list, so that a change of its order is none."""
Names = dict[str, str]
"""New logical ids, by the old ones."""


def pattern(value: Any) -> str:
    """A name or an ARN in the form of Fn::Sub, so that two ways to write it are equal."""
    match value:
        case {"Ref": str(name)}:
            return f"${{{name}}}"
        case {"Fn::GetAtt": [*parts]}:
            return f"${{{'.'.join(map(str, parts))}}}"
        case {"Fn::Sub": str(text)}:
            return text
        case {"Fn::Sub": [str(text), dict(variables)]}:
            for name, each in variables.items():
                text = text.replace(f"${{{name}}}", pattern(each))
            return text
        case {"Fn::Join": [str(separator), [*parts]]}:
            return separator.join(map(pattern, parts))
        case bool():
            return str(value).lower()
        case dict() | list():
            return shown(value)
    return str(value)


def shown(value: Any) -> str:
    """Any value on one line, for people: references as their names, conditions as words."""
    match value:
        case {"Ref": "AWS::NoValue"} | None:
            return "nothing"
        case {"Ref": str(name)}:
            return name
        case {"Fn::GetAtt": [*parts]}:
            return ".".join(map(str, parts))
        case {"Fn::If": [str(condition), first, second]}:
            otherwise = "" if second == NOTHING else f", else {shown(second)}"
            return f"if {condition}: {shown(first)}{otherwise}"
        case {"Fn::Sub": _} | {"Fn::Join": [str(), [*_]]} | bool():
            return pattern(value)
        case dict():
            return "{" + ", ".join(f"{key}: {shown(each)}" for key, each in value.items()) + "}"
        case list():
            return f"[{', '.join(map(shown, value))}]"
    return re.sub(r"\s+", " ", str(value)).strip() or '""'


def cases(value: Any) -> Iterator[tuple[frozenset[str], Any]]:
    """The values that a value has in the cases of its conditions, each with what must hold; lists are flattened."""
    match value:
        case {"Fn::If": [str(condition), first, second]}:
            for holds, each in ((condition, first), (f"not {condition}", second)):
                yield from ((guards | {holds}, inner) for guards, inner in cases(each))
        case list():
            for each in value:
                yield from cases(each)
        case _ if value != NOTHING:
            yield frozenset(), value


def renamed(value: Any, names: Names) -> Any:
    """The value with the references to some resources replaced by their new names."""

    def new(text: str) -> str:
        first, dot, rest = text.partition(".")
        return f"{names.get(first, first)}{dot}{rest}"

    match value:
        case {"Ref": str(name)}:
            return {"Ref": names.get(name, name)}
        case {"Fn::GetAtt": [str(name), *rest]}:
            return {"Fn::GetAtt": [names.get(name, name), *rest]}
        case {"Fn::Sub": str(text)}:
            return {"Fn::Sub": re.sub(r"\$\{([^!}]+)\}", lambda found: f"${{{new(found[1])}}}", text)}
        case {"Fn::Sub": [str(text), variables]}:
            return {"Fn::Sub": [renamed({"Fn::Sub": text}, names)["Fn::Sub"], renamed(variables, names)]}
        case dict():
            return {key: renamed(each, names) for key, each in value.items()}
        case list():
            return [renamed(each, names) for each in value]
    return value


class Difference(NamedTuple):
    """Something that differs at a place. None: it is not there."""

    path: Path
    old: Any
    new: Any

    @property
    def place(self) -> str:
        """The path as text, such as ``Rules[work].ExpirationInDays``."""
        return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in self.path).lstrip(".")


def differences(old: Any, new: Any, path: Path = ()) -> Iterator[Difference]:
    """What differs between two values, as deep as it can be told. An order that AWS ignores does not differ."""
    if canonical(old) == canonical(new):
        return
    if _is_plain(old) and _is_plain(new):
        for key in {**old, **new}:
            yield from differences(old.get(key), new.get(key), (*path, key))
        return
    named = _named(old), _named(new)
    if named[0] is not None and named[1] is not None:
        yield from differences(*named, path)
    else:
        yield Difference(path, old, new)


def canonical(value: Any) -> str:
    """A text that is equal for values that mean the same: with sorted keys, and named items in any order."""
    return json.dumps(_canonical(value), sort_keys=True, default=str)


def _canonical(value: Any) -> Any:
    if isinstance(value, dict):
        if len(value) == 1 and (function := next(iter(value))) in ("Fn::Sub", "Fn::GetAtt", "Fn::Join", "Ref"):
            # !Sub "${A.B}", !GetAtt A.B and !Join of both are the same; "Ref" to nothing is the absence of a value.
            return None if value == NOTHING else {"=": pattern({function: value[function]})}
        return {key: inner for key, each in value.items() if (inner := _canonical(each)) is not None}
    if isinstance(value, list):
        named = _named(value)
        return _canonical(named) if named else [_canonical(each) for each in value]
    if isinstance(value, str):
        return re.sub(r"\s+", " ", value).strip()
    return value


def _is_plain(value: Any) -> bool:
    """Whether it is a mapping of its own keys, not a function of CloudFormation."""
    return isinstance(value, dict) and not any(str(key).startswith("Fn::") or key == "Ref" for key in value)


def _named(value: Any) -> dict[str, Any] | None:
    """The items of a list by their names; None if it is not a list, or its items have no names of their own."""
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        return None
    for field in _NAMED_BY:
        names = [each.get(field) for each in value]
        if all(isinstance(name, str) for name in names) and len({*names}) == len(names):
            return dict(zip(names, value, strict=True))
    return None


def number(value: Any, parameters: dict[str, Any]) -> float | None:
    """A number, or the number that is a parameter's default; None if it is neither."""
    match value:
        case {"Ref": str(name)} if name in parameters:
            value = parameters[name].get("Default")
    found = re.fullmatch(r"\$\{(\w+)\}", value) if isinstance(value, str) else None
    if found and found[1] in parameters:
        value = parameters[found[1]].get("Default")
    if isinstance(value, bool):
        return None
    try:
        return float(value)
    except (TypeError, ValueError):
        return None
