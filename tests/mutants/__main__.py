"""`make mutants`: plants faults in a copy of the project, one at a time, and says which tests notice each.

It does not run with `make test`: it takes minutes. First every test that needs no emulator runs once, to learn which
lines it goes through; then, for each fault, only those that go through its lines.
"""

from __future__ import annotations

import argparse
import os
import queue
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from coverage import CoverageData

from tests.mutants.mutations import WORKFLOW, Mutant, of_module, of_workflow

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / ".local" / "mutants" / "coverage"
TESTS = ["tests/unit", "tests/workflow", "tests/stateful", "tests/faults", "tests/fixtures/test_in_memory.py"]
TESTS += ["tests/checks"]
OF_THE_WORKFLOW = ["tests/workflow", "tests/stateful", "tests/checks"]
AT_ONCE, SECONDS, FIRST = 2, 300, 40
"""Mutants at once; how long the tests of one may take; how many tests of one are run before it counts as alive."""
EQUIVALENT: dict[str, str] = {}
"""Faults that change nothing that anybody could see, and why."""


def main() -> int:
    """Prints a line for each mutant; 1 where one lives that is not known to be no fault."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("--known", action="store_true", help="the tests' lines are those that were learnt last time")
    parser.add_argument("--only", default="", help="mutants whose path holds this text")
    parser.add_argument("--tests", nargs="*", default=[], help="run these for every mutant")
    asked = parser.parse_args()
    if not asked.tests and not (asked.known and DATA.exists()):
        _learn()
    ways = {} if asked.tests else _ways()
    mutants = [each for each in _mutants() if asked.only in str(each.path)]
    folders: queue.Queue[Path] = queue.Queue()
    with tempfile.TemporaryDirectory() as scratch, ThreadPoolExecutor(AT_ONCE) as pool:
        for number in range(AT_ONCE):
            folders.put(_copy(Path(scratch) / str(number)))
        killers = pool.map(lambda mutant: _killer(mutant, asked.tests or _through(mutant, ways), folders), mutants)
        alive = 0
        for mutant, killer in zip(mutants, killers, strict=True):
            name = f"{mutant.path}: {mutant.name}"
            known = name in EQUIVALENT
            alive += killer is None and not known
            print(f"{'killed' if killer else 'no fault' if known else 'ALIVE'}\t{name}\t{killer or ''}", flush=True)
    print(f"{len(mutants) - alive} of {len(mutants)} mutants are noticed by a test.")
    return 1 if alive else 0


def _mutants() -> list[Mutant]:
    modules = sorted(path.relative_to(ROOT) for path in (ROOT / "functions").rglob("*.py"))
    found = [mutant for path in modules for mutant in of_module(path, (ROOT / path).read_text("utf-8"))]
    return found + of_workflow((ROOT / WORKFLOW).read_text("utf-8"))


def _learn() -> None:
    """Notes which test goes through which line."""
    DATA.parent.mkdir(parents=True, exist_ok=True)
    DATA.unlink(missing_ok=True)
    command = ["-n", "2", "--dist", "loadgroup", "--cov=functions", "--cov-context=test", "--cov-report="]
    run = subprocess.run(_pytest(*command, *TESTS), cwd=ROOT, env=os.environ | {"COVERAGE_FILE": str(DATA)})
    if run.returncode:
        sys.exit("The tests fail as they are; no fault was planted.")


def _ways() -> dict[tuple[str, int], list[str]]:
    """The tests that go through a line, those first that go through the fewest."""
    data = CoverageData(str(DATA))
    data.read()
    ways: dict[tuple[str, int], list[str]] = {}
    length: dict[str, int] = {}
    for file in data.measured_files():
        path = str(Path(file).relative_to(ROOT))
        for line, contexts in data.contexts_by_lineno(file).items():
            tests = sorted({each.partition("|")[0] for each in contexts if each})
            ways[path, line] = tests
            for test in tests:
                length[test] = length.get(test, 0) + 1
    return {place: sorted(tests, key=lambda test: (length[test], test)) for place, tests in ways.items()}


def _copy(folder: Path) -> Path:
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    for name in subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout.split("\0"):
        if name and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    (folder / ".venv").symlink_to(ROOT / ".venv")
    return folder


def _through(mutant: Mutant, ways: dict[tuple[str, int], list[str]]) -> list[str]:
    """The tests that go through what a mutant changes."""
    if mutant.path == WORKFLOW:
        return OF_THE_WORKFLOW
    through = (ways.get((str(mutant.path), line), []) for line in mutant.lines)
    return list(dict.fromkeys(test for some in through for test in some))[:FIRST]


def _killer(mutant: Mutant, tests: list[str], folders: queue.Queue[Path]) -> str | None:
    """The first test that fails with a mutant; None where none does."""
    if not tests:
        return None
    folder = folders.get()
    place = folder / mutant.path
    healthy = place.read_text("utf-8")
    try:
        place.write_text(mutant.text, "utf-8")
        run = subprocess.run(
            _pytest("-x", "--tb=no", "--show-capture=no", *tests),
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )
    except subprocess.TimeoutExpired:
        return "the time ran out"
    finally:
        place.write_text(healthy, "utf-8")
        folders.put(folder)
    failed = [line.split(" ")[1] for line in run.stdout.splitlines() if line.startswith(("FAILED ", "ERROR "))]
    return failed[0] if failed else None if run.returncode == 0 else f"pytest ended with {run.returncode}"


def _pytest(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments]


if __name__ == "__main__":
    sys.exit(main())
