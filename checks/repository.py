"""YAML and JSON read together with the line on which each thing stands."""

from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parent.parent
LOADER: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the same in C


class Document:
    """A file's content, CloudFormation's short functions in their long form (``!Ref x`` is ``{"Ref": "x"}``).

    JSON is read as YAML, of which it is a subset.

    Raises:
        yaml.YAMLError: with line and column.
    """

    def __init__(self, text: str, file: str) -> None:
        self.file = file
        self.repeated: list[tuple[str | int, ...]] = []
        """Paths of keys that stand twice in one mapping; the last one counts."""
        self._lines: dict[tuple[str | int, ...], int] = {(): 1}
        self.comments = {
            number: line.rpartition(" #")[2].strip() for number, line in enumerate(text.splitlines(), 1) if " #" in line
        }
        """Comments behind something, by line."""
        loader = LOADER(text)
        try:
            root = loader.get_single_node()
            self.data: Any = self._value(loader, root, ()) if root else None
        finally:
            loader.dispose()

    def line(self, *path: str | int) -> int:
        """Line of what stands at the path of keys and indexes, or of the nearest thing around it."""
        while path not in self._lines:
            path = path[:-1]
        return self._lines[path]

    def _value(self, loader: yaml.SafeLoader, node: yaml.Node, path: tuple[str | int, ...]) -> Any:
        self._lines.setdefault(path, node.start_mark.line + 1)
        if node.tag.startswith("!"):
            name = node.tag[1:]
            node.tag = loader.resolve(type(node), getattr(node, "value", None), (True, False))  # type: ignore[no-untyped-call]
            value = self._value(loader, node, path)
            if name == "GetAtt" and isinstance(value, str):
                value = value.split(".", 1)
            return {name if name in ("Ref", "Condition") else f"Fn::{name}": value}
        if isinstance(node, yaml.MappingNode):
            found: dict[Any, Any] = {}
            for key_node, value_node in node.value:
                key = loader.construct_object(key_node, deep=True)
                if key in found:
                    self.repeated.append((*path, key))
                self._lines[(*path, key)] = key_node.start_mark.line + 1
                found[key] = self._value(loader, value_node, (*path, key))
            return found
        if isinstance(node, yaml.SequenceNode):
            return [self._value(loader, each, (*path, index)) for index, each in enumerate(node.value)]
        return loader.construct_object(node, deep=True)


def read(name: str) -> Document:
    """A file of this repository, named from its root."""
    return Document((ROOT / name).read_text("utf-8"), name)
