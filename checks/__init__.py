"""The checks of `make check`; each fault says where it is and its fix."""

import sys
from pathlib import Path
from typing import NamedTuple

# The checks read reports with the same code as the functions.
sys.path.insert(0, str(Path(__file__).parent.parent / "functions"))


class Fault(NamedTuple):
    """Something that would fail on AWS or mislead the next reader."""

    file: str
    """Relative to the root of the repository."""
    line: int
    """The line, from 1."""
    place: str
    """What is affected: a state, a resource's logical id."""
    wrong: str
    """What is wrong, without a full stop."""
    remedy: str
    """What to do about it, without a full stop; "" if what is wrong says it."""
    recipe: str = ""
    """The page under docs/ that helps; recipes.py adds it."""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.place}: {self.wrong}." + (f" {self.remedy}." if self.remedy else "")
