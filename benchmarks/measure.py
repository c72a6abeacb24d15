"""Runs measurements: one process with one thread each, contestants in turns, every file read back."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks import round_trip
from benchmarks.contestants import CONTESTANTS, Contestant, remove

ROOT = Path(__file__).parents[1]
ONE_THREAD = dict.fromkeys(("POLARS_MAX_THREADS", "RAYON_NUM_THREADS", "OMP_NUM_THREADS", "ARROW_IO_THREADS"), "1")
_PACKAGES = [
    *("polars", "isal", "xlsxwriter", "rustpy-xlsxwriter", "jetxl", "pyarrow"),
    *("python-calamine", "numpy", "boto3"),
]


@dataclass(frozen=True)
class Sample:
    """One run: CPU and wall-clock seconds, resident bytes at the peak and before, and bytes of the file."""

    cpu: float
    wall: float
    peak: int
    before: int
    size: int


def run(name: str, files: list[Path], out: Path) -> Sample:
    """Runs a contestant that makes the file.

    Raises:
        RuntimeError: the contestant failed; the message has its output.
    """
    command = [sys.executable, "-m", "benchmarks.contestants", name, str(out), *map(str, files)]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | ONE_THREAD, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{name} failed:\n{done.stderr[-2000:]}")
    return Sample(**json.loads(done.stdout.splitlines()[-1]), size=out.stat().st_size)


def take_turns(
    names: list[str], files: list[Path], repetitions: int, folder: Path, say: Callable[[str], None]
) -> dict[str, list[dict[str, Any]]]:
    """Samples of each installed contestant in the order of the turns: the n-th samples belong together.

    Raises:
        benchmarks.round_trip.Mismatch: a file does not hold the orders.
        RuntimeError: see :func:`run`.
    """
    samples: dict[str, list[dict[str, Any]]] = {}
    proven: set[tuple[str, str]] = set()
    for turn in range(repetitions):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            contestant = CONTESTANTS.get(name)
            if contestant is None or not contestant.is_here:
                why = "the format does not exist" if contestant is None else f"{contestant.needs} is not installed"
                say(f"{name}: not measured, {why}")
                continue
            sample, proof = _take(name, contestant, files, folder, proven)
            samples.setdefault(name, []).append(asdict(sample))
            say(f"{name}: {sample.cpu:.3f} s of CPU time, {sample.peak / 1e6:.0f} MB{proof}")
    return samples


def _take(
    name: str, contestant: Contestant, files: list[Path], folder: Path, proven: set[tuple[str, str]]
) -> tuple[Sample, str]:
    out = folder / f"orders.{contestant.kind or 'txt'}"
    remove(out)
    try:
        if contestant.after:
            run(contestant.after, files, out)
        sample = run(name, files, out)
        if not contestant.kind:
            return sample, ""
        digest = _digest(out)
        if (name, digest) in proven:  # the same bytes were read back before
            return sample, ""
        rows = round_trip.check(contestant, out, files)
        proven.add((name, digest))
        return sample, f", {rows} rows read back"
    finally:
        remove(out)


def _digest(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def machine() -> dict[str, str]:
    """The machine and the versions that are measured."""
    described = {"processor": _processor(), "cores": str(os.cpu_count()), "memory": _memory()}
    described |= {"system": f"{platform.system()} {platform.release()}", "Python": platform.python_version()}
    for package in _PACKAGES:
        try:
            described[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            described[package] = "not installed"
    described["load before"] = f"{os.getloadavg()[0]:.1f}"
    return described


def now() -> str:
    """The date and time, UTC."""
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M")


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    match = re.search(r"model name\s*:\s*(.+)", information.read_text()) if information.exists() else None
    return match[1] if match else platform.processor() or platform.machine()


def _memory() -> str:
    return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 1e9:.0f} GB"
