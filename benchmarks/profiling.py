"""Where a contestant's time goes: the functions that it spends it in, by cProfile.

    python -m benchmarks.profiling NAME OUT FILE…

prints ``[[function, share], …]``, the largest first. What is heavy is done by calls into C and Rust (decoding,
formatting, compressing), which cProfile sees as one call each, so that it slows nothing down that matters.
"""

from __future__ import annotations

import cProfile
import json
import os
import pstats
import re
import subprocess
import sys
from pathlib import Path

from benchmarks.contestants import CONTESTANTS
from benchmarks.measure import ONE_THREAD, ROOT

_LARGEST = 6


def profile(name: str, files: list[Path], out: Path) -> list[tuple[str, float]]:
    """The functions, and the share of the time that is spent in each itself; taken in a process of its own.

    Raises:
        RuntimeError: the contestant failed; with what it said.
    """
    command = [sys.executable, "-m", "benchmarks.profiling", name, str(out), *map(str, files)]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | ONE_THREAD, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{name} failed:\n{done.stderr[-2000:]}")
    return [(function, share) for function, share in json.loads(done.stdout.splitlines()[-1])]


def main(name: str, out: Path, files: list[Path]) -> None:
    """See the module."""
    make = CONTESTANTS[name].load()
    profiler = cProfile.Profile()
    profiler.runcall(make, files, out)
    taken = pstats.Stats(profiler).stats  # type: ignore[attr-defined]
    whole = sum(own for _, _, own, _, _ in taken.values())
    shares: dict[str, float] = {}
    for (file, _, function), (_, _, own, _, _) in taken.items():
        named = _name(file, function)
        shares[named] = shares.get(named, 0.0) + own / whole
    print(json.dumps(sorted(shares.items(), key=lambda item: -item[1])[:_LARGEST]))


def _name(file: str, function: str) -> str:
    """As a person calls it: of built-in methods the type and the name, of others the module and the name."""
    if found := re.fullmatch(r"<(?:built-in )?method '?([\w.]+)'?(?: of '([\w.]+)' objects)?>", function):
        owner = (found[2] or "").rsplit(".", 1)[-1]
        return f"{owner}.{found[1]}" if owner else found[1].removeprefix("builtins.")
    return function.strip("<>") if file == "~" else f"{Path(file).stem}.{function}"


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), [Path(file) for file in sys.argv[3:]])
