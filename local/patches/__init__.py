"""What MiniStack does differently from AWS and this project would notice, one module per difference.

A module says what AWS does, what stock MiniStack does and how its `apply()` corrects that. tests/emulator/ proves
both halves: a patch is deleted the day its gap test fails. Where two replace the same function, the one whose name
is later in the alphabet wraps the other.
"""

from pathlib import Path

IN_ORDER = sorted(file.stem for file in Path(__file__).parent.glob("[a-z]*.py"))


def named(names: str) -> list[str]:
    """The patches a command line names, in order: `all`, `none`, or names separated by commas."""
    wanted = {"all": set(IN_ORDER), "none": set[str]()}.get(names, set(names.split(",")))
    if unknown := wanted.difference(IN_ORDER):
        raise SystemExit(f"no such patch: {', '.join(sorted(unknown))}; there are {', '.join(IN_ORDER)}")
    return [name for name in IN_ORDER if name in wanted]
