"""Reads YAML and JSON, keeps the line of every element, and finds what a value of a template refers to."""

import pathlib
import re
from collections.abc import Iterator
from typing import Any

import yaml

ROOT = pathlib.Path(__file__).parent.parent
LOADER: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the C version of the same loader

Path = tuple[str | int, ...]
"""Keys and indexes that lead to an element."""


class Document:
    """A file's content, with CloudFormation's short functions in their long form (``!Ref x`` is ``{"Ref": "x"}``).

    Loops of a template are expanded ("Fn::ForEach", CloudFormation Template Reference); the results have the lines of
    the loop. JSON is read as YAML because it is a subset of YAML.

    Raises:
        yaml.YAMLError: the text is not YAML; the error has line and column.
    """

    def __init__(self, text: str, file: str) -> None:
        self.file = file
        self.repeated: list[Path] = []
        """Paths of keys that occur twice in one mapping; the last one counts."""
        self._lines: dict[Path, int] = {(): 1}
        self._identifiers: dict[str, str] = {}
        """Identifiers of the loops around the current element, with their values."""
        self._mappings: dict[str, Any] = {}
        self.comments = {
            number: line.rpartition(" #")[2].strip() for number, line in enumerate(text.splitlines(), 1) if " #" in line
        }
        """Comments, at the end of a line or on a line of their own, by line."""
        self._alone = {number for number, line in enumerate(text.splitlines(), 1) if line.lstrip().startswith("#")}
        loader = LOADER(text)
        try:
            root = loader.get_single_node()
            self.data: Any = self._value(loader, root, ()) if root else None
        finally:
            loader.dispose()

    def line(self, *path: str | int) -> int:
        """The line of the element at the path of keys and indexes, or of the nearest enclosing element."""
        while path not in self._lines:
            path = path[:-1]
        return self._lines[path]

    def above(self, *path: str | int) -> list[str]:
        """The comments on the lines directly above the element, the first line first."""
        last = self.line(*path)
        first = last
        while first - 1 in self._alone:
            first -= 1
        return [self.comments.get(number, "") for number in range(first, last)]

    def remarks(self, *path: str | int) -> list[str]:
        """The comments directly above the element and on its lines."""
        last = max(line for each, line in self._lines.items() if each[: len(path)] == path)
        inside = [self.comments[number] for number in range(self.line(*path), last + 1) if number in self.comments]
        return self.above(*path) + inside

    def _value(self, loader: yaml.SafeLoader, node: yaml.Node, path: Path) -> Any:
        self._lines.setdefault(path, node.start_mark.line + 1)
        if node.tag.startswith("!"):
            name, tag = node.tag[1:], node.tag
            node.tag = loader.resolve(type(node), getattr(node, "value", None), (True, False))  # type: ignore[no-untyped-call]
            value = self._value(loader, node, path)
            node.tag = tag  # a loop reads the node again
            if name == "GetAtt" and isinstance(value, str):
                value = value.split(".", 1)
            return self._resolved(name if name in ("Ref", "Condition") else f"Fn::{name}", value)
        if isinstance(node, yaml.MappingNode):
            mapping: dict[Any, Any] = {}
            for key_node, value_node in node.value:
                key = loader.construct_object(key_node, deep=True)
                if isinstance(key, str):
                    if key.startswith("Fn::ForEach::"):
                        mapping |= self._looped(loader, value_node, path)
                        continue
                    key = self._substituted(key)
                if key in mapping:
                    self.repeated.append((*path, key))
                self._lines[(*path, key)] = key_node.start_mark.line + 1
                mapping[key] = self._value(loader, value_node, (*path, key))
                if path == () and key == "Mappings":
                    self._mappings = mapping[key]
            if len(mapping) == 1 and (key == "Ref" or str(key).startswith("Fn::")):
                return self._resolved(key, mapping[key])  # the long form of a function
            return mapping
        if isinstance(node, yaml.SequenceNode):
            return [self._value(loader, each, (*path, index)) for index, each in enumerate(node.value)]
        value = loader.construct_object(node, deep=True)
        return self._substituted(value) if isinstance(value, str) else value

    def _looped(self, loader: yaml.SafeLoader, loop: yaml.Node, path: Path) -> dict[Any, Any]:
        """The loop's fragment, expanded for each value of its collection."""
        identifier, values, fragment = loop.value
        expanded: dict[Any, Any] = {}
        for value in loader.construct_object(values, deep=True):
            self._identifiers[identifier.value] = value
            expanded |= self._value(loader, fragment, path)
        del self._identifiers[identifier.value]
        return expanded

    def _substituted(self, text: str) -> str:
        for identifier, value in self._identifiers.items():
            text = text.replace(f"${{{identifier}}}", value)
        return text

    def _resolved(self, function: str, value: Any) -> Any:
        """A function as CloudFormation resolves it in a loop; outside loops, as it is written."""
        if not self._identifiers:
            return {function: value}
        match function, value:
            case "Ref", str() if value in self._identifiers:
                return self._identifiers[value]
            case "Fn::FindInMap", [str() as name, str() as key, str() as second]:
                entry = self._mappings.get(name, {}).get(key, {})
                return entry.get(second, {function: value})  # cfn-lint reports what is wrong
            case "Fn::Sub", str() | [str(), dict()]:
                text, variables = (value, {}) if isinstance(value, str) else value
                for name, known in variables.items():
                    text = text.replace(f"${{{name}}}", str(known))
                return {function: text} if "${" in text else text
        return {function: value}


def read(name: str) -> Document:
    """A file of this repository, named by its path from the root."""
    return Document((ROOT / name).read_text("utf-8"), name)


def references(value: Any, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """The names that ``Ref``, ``Fn::GetAtt`` and ``Fn::Sub`` use in the value, each with its path."""
    if isinstance(value, list):
        for index, each in enumerate(value):
            yield from references(each, (*path, index))
    elif isinstance(value, dict):
        for key, each in value.items():
            if key == "Ref":
                yield path, each
            elif key == "Fn::GetAtt":
                yield path, (each if isinstance(each, list) else each.split("."))[0]
            elif key == "Fn::Sub":
                text, variables = each if isinstance(each, list) else (each, {})
                named = re.findall(r"\$\{([^!}.]+)", text)
                yield from ((path, name) for name in named if name not in variables)
                yield from references(variables, path)
            else:
                yield from references(each, path if key.startswith("Fn::") else (*path, key))


def reference(value: Any) -> str | None:
    """The first name that the value refers to, or None."""
    return next((name for _, name in references(value)), None)


def named_below(value: Any, *keys: str) -> set[str]:
    """The names referred to below one of the keys, anywhere in the value."""
    if isinstance(value, list):
        return {name for each in value for name in named_below(each, *keys)}
    if not isinstance(value, dict):
        return set()
    here = {name for key in value.keys() & {*keys} for _, name in references(value[key])}
    return here.union(*(named_below(each, *keys) for each in value.values()))
