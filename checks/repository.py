"""Reads YAML and JSON and keeps the line of every element."""

from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parent.parent
LOADER: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the C version of the same loader


class Document:
    """A file's content, with CloudFormation's short functions in their long form (``!Ref x`` is ``{"Ref": "x"}``).

    Loops of a template are expanded ("Fn::ForEach", CloudFormation Template Reference); the results have the lines of
    the loop. JSON is read as YAML because it is a subset of YAML.

    Raises:
        yaml.YAMLError: the text is not YAML; the error has line and column.
    """

    def __init__(self, text: str, file: str) -> None:
        self.file = file
        self.repeated: list[tuple[str | int, ...]] = []
        """Paths of keys that occur twice in one mapping; the last one counts."""
        self._lines: dict[tuple[str | int, ...], int] = {(): 1}
        self._identifiers: dict[str, str] = {}
        """Identifiers of the loops around the current element, with their values."""
        self._mappings: dict[str, Any] = {}
        self.comments = {
            number: line.rpartition(" #")[2].strip() for number, line in enumerate(text.splitlines(), 1) if " #" in line
        }
        """Comments at the end of a line, by line."""
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

    def _value(self, loader: yaml.SafeLoader, node: yaml.Node, path: tuple[str | int, ...]) -> Any:
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
            return mapping
        if isinstance(node, yaml.SequenceNode):
            return [self._value(loader, each, (*path, index)) for index, each in enumerate(node.value)]
        value = loader.construct_object(node, deep=True)
        return self._substituted(value) if isinstance(value, str) else value

    def _looped(self, loader: yaml.SafeLoader, loop: yaml.Node, path: tuple[str | int, ...]) -> dict[Any, Any]:
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
