"""Code that differs, by the function or layer that runs it."""

from collections.abc import Iterable, Iterator

from architecture.model import FUNCTIONS, Architecture
from architecture.rules import CODE, Change

FOLDERS = ("functions", "layers", "web")
"""The folders of what is deployed as code."""


def changes(architecture: Architecture, files: Iterable[str]) -> Iterator[Change]:
    """A change for each function, shared package or layer with files that differ."""
    of = {
        str(each.properties.get("Handler", "")).partition(".")[0]: each.name
        for each in architecture.of(*FUNCTIONS)
        if isinstance(each.properties.get("Handler"), str)
    }
    groups: dict[str, list[str]] = {}
    for file in sorted(files):
        folder, _, rest = file.partition("/")
        package = rest.partition("/")[0]
        subject = of.get(package, "Every function") if folder == "functions" else file.rpartition("/")[0] or folder
        groups.setdefault(subject, []).append(f"`{file}`")
    for subject, named in groups.items():
        more = f" and {len(named) - 5} more" if len(named) > 5 else ""
        yield Change(CODE, subject, f"{', '.join(named[:5])}{more}")
