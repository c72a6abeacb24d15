"""Corrections of MiniStack where it differs from AWS in ways that affect this project, one module per difference.

Each module says what AWS does, what unpatched ("stock") MiniStack does, and how its `apply()` corrects it.
tests/emulator/ proves both. If the test of a gap fails, MiniStack has closed the gap: delete the patch. Patches apply
in alphabetical order; a later one wraps an earlier one.
"""

from pathlib import Path

IN_ORDER = sorted(file.stem for file in Path(__file__).parent.glob("[a-z]*.py"))


def named(names: str) -> list[str]:
    """The patches that a command line names, in order: `all`, `none`, or names separated by commas."""
    wanted = {"all": set(IN_ORDER), "none": set[str]()}.get(names, set(names.split(",")))
    if unknown := wanted.difference(IN_ORDER):
        raise SystemExit(f"unknown patch: {', '.join(sorted(unknown))}; allowed: {', '.join(IN_ORDER)}")
    return [name for name in IN_ORDER if name in wanted]
