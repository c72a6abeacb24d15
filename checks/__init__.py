"""The gate of `make check`: it reads reports, workflow, documents, template; each fault says where, and what to do."""

import sys
from pathlib import Path
from typing import NamedTuple

# Reports are read by the code that reads them in the functions.
sys.path.insert(0, str(Path(__file__).parent.parent / "functions"))


class Fault(NamedTuple):
    """Something that would go wrong on AWS, or that the next reader could not rely on."""

    file: str
    """Relative to the root of the repository."""
    line: int
    """From 1."""
    place: str
    """What it concerns: a state, a resource's logical id."""
    wrong: str
    """What is wrong, without a full stop."""
    remedy: str
    """What to do about it, without a full stop."""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.place}: {self.wrong}. {self.remedy}."
