"""What MiniStack does differently from AWS and this project would notice, one module per difference.

A module says what AWS and stock MiniStack do and how its `apply()` corrects that. tests/emulator/ proves both halves:
a patch is deleted the day its gap test fails. The alphabet is the order: the later of two wraps the earlier.
"""

from pathlib import Path

IN_ORDER = sorted(file.stem for file in Path(__file__).parent.glob("[a-z]*.py"))


def named(names: str) -> list[str]:
    """The patches a command line names, in order: `all`, `none`, or names separated by commas."""
    wanted = {"all": set(IN_ORDER), "none": set[str]()}.get(names, set(names.split(",")))
    if unknown := wanted.difference(IN_ORDER):
        raise SystemExit(f"no such patch: {', '.join(sorted(unknown))}; there are {', '.join(IN_ORDER)}")
    return [name for name in IN_ORDER if name in wanted]
