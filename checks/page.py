"""Checks of web/: its types, as its JSDoc states them, and its size."""

import gzip
import re
import shutil
import subprocess
from pathlib import Path

from checks import Fault
from checks.repository import ROOT

WEB = ROOT / "web"
MOST_BYTES = 30_000
"""Size of what an English page loads, each file compressed: a product should not notice what it embeds."""
NOT_AT_ONCE = ("texts-*.js", "choices.js", "*.d.ts")
"""Modules that a page loads only in another language, or when the user opens their part; and types."""
COMPILER = ROOT / ".local" / "typescript" / "node_modules" / "typescript" / "bin" / "tsc"
PROJECT = ROOT / "checks" / "typescript" / "tsconfig.json"
_FINDING = re.compile(r"(?P<file>[^\s(]+)\((?P<line>\d+),\d+\): error (?P<what>.+)")


def faults() -> list[Fault]:
    """Every fault of web/."""
    return [*type_faults(PROJECT), *size_faults(WEB)]


def type_faults(project: Path) -> list[Fault]:
    """The findings of tsc on a project; if it cannot run, prints one line that says so."""
    node = shutil.which("node")
    if not node or not COMPILER.exists():
        reason = "make check could not install it" if node else "Node is not installed"
        print(f"tsc was not run: {reason}.")
        return []
    command = [node, str(COMPILER), "--project", str(project), "--pretty", "false"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    found = [
        Fault(
            each["file"],
            int(each["line"]),
            "types",
            f"tsc: {each['what'].rstrip('.')}",
            "Correct the code or its JSDoc",
        )
        for each in _FINDING.finditer(run.stdout)
    ]
    if run.returncode and not found:
        print(f"tsc was not run: {(run.stdout + run.stderr).strip().splitlines()[-1]}")
    return found


def size_faults(folder: Path) -> list[Fault]:
    """A fault if the files of an English page, each compressed, are larger than :data:`MOST_BYTES`."""
    files = [file for file in folder.iterdir() if file.is_file() and not any(map(file.match, NOT_AT_ONCE))]
    size = sum(len(gzip.compress(file.read_bytes(), mtime=0)) for file in files)
    if size <= MOST_BYTES:
        return []
    wrong = f"has {size:,} bytes compressed; {MOST_BYTES:,} are allowed"
    return [Fault(folder.name, 1, "size", wrong, "Remove code that users do not need")]
