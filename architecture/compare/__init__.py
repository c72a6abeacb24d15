"""Compares two architectures, and writes the differences as Markdown, the most dangerous first."""

from collections import Counter
from collections.abc import Iterable, Iterator

from architecture.compare import code, permissions, renames, reports, resources, workflows
from architecture.model import Architecture
from architecture.rules import RULES, SECTIONS, Change

__all__ = ["Change", "compare", "markdown", "ordered"]


def compare(old: Architecture, new: Architecture, files: Iterable[str] = ()) -> list[Change]:
    """The differences of two architectures, the most dangerous first.

    Args:
        old: the base.
        new: what is reviewed.
        files: the files of code that differ, relative to the root.

    Returns:
        Each difference once. Comments, the order and the place of something are none.
    """
    names = renames.found(old, new)
    before = old.renamed(names) if names else old
    changes = [
        *renames.changes(old, new, names),
        *permissions.changes(before, new),
        *resources.changes(before, new),
        *workflows.changes(before, new),
        *reports.changes(before, new),
        *code.changes(new, files),
    ]
    return ordered(changes)


def ordered(changes: Iterable[Change]) -> list[Change]:
    """Each change once, the most dangerous first."""
    rank = {rule: number for number, rule in enumerate(RULES)}
    return sorted(dict.fromkeys(changes), key=lambda change: (change.rule.section, rank[change.rule], change.subject))


def markdown(changes: list[Change], title: str) -> str:
    """The differences for a pull request.

    Args:
        changes: see :func:`compare`.
        title: what was compared with what.
    """
    return "\n".join([f"## {title}", "", f"**{_summary(changes)}**", *_sections(changes)]) + "\n"


def _summary(changes: list[Change]) -> str:
    counts = Counter("code" if each.rule.name == "code" else each.rule.is_dangerous for each in changes)
    if not counts[True] and not counts[False]:
        return "The architecture is the same." + (" Only code differs." if counts["code"] else "")
    dangerous = f"{counts[True]} dangerous change{'s' * (counts[True] != 1)}" if counts[True] else "Nothing dangerous"
    others = f"{counts[False]} other{'s' * (counts[False] != 1)}" if counts[False] else "nothing else"
    return f"{dangerous}, {others}."


def _sections(changes: list[Change]) -> Iterator[str]:
    for number, title in enumerate(SECTIONS):
        here = [each for each in changes if each.rule.section == number]
        if here:
            yield from ("", f"### {title}")
        for rule in dict.fromkeys(each.rule for each in here):
            danger = "**Dangerous.** " if rule.is_dangerous else ""
            yield from ("", f"{danger}`{rule.name}`: {rule.why} See docs/{rule.recipe}.", "")
            yield from _lines([each for each in here if each.rule == rule])


def _lines(changes: list[Change]) -> Iterator[str]:
    """The changes; the same change of several subjects on one line."""
    groups: dict[str, list[Change]] = {}
    for each in changes:
        groups.setdefault(each.what, []).append(each)
    for same in groups.values():
        subjects = ", ".join(f"**{each.subject}**" for each in same)
        yield str(same[0]._replace(subject=subjects.removeprefix("**").removesuffix("**")))
