"""Profiles a contestant with cProfile: the functions in which it spends its time.

    python -m benchmarks.profiling NAME OUT FILE…

prints ``[[function, share], …]``, the largest first. Calls into C and Rust do the heavy work (decoding, formatting,
compressing). cProfile sees each as one call, so profiling does not slow down the heavy work.
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
    """Each function and the share of time spent in the function itself, measured in a separate process.

    Raises:
        RuntimeError: the contestant failed; the message has its output.
    """
    command = [sys.executable, "-m", "benchmarks.profiling", name, str(out), *map(str, files)]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | ONE_THREAD, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{name} failed:\n{done.stderr[-2000:]}")
    return [(function, share) for function, share in json.loads(done.stdout.splitlines()[-1])]


def main(name: str, out: Path, files: list[Path]) -> None:
    """Profiles the contestant and prints the shares; see the module docstring."""
    make = CONTESTANTS[name].load()
    profiler = cProfile.Profile()
    profiler.runcall(make, files, out)
    stats = pstats.Stats(profiler).stats  # type: ignore[attr-defined]
    whole = sum(own for _, _, own, _, _ in stats.values())
    shares: dict[str, float] = {}
    for (file, _, function), (_, _, own, _, _) in stats.items():
        named = _name(file, function)
        shares[named] = shares.get(named, 0.0) + own / whole
    print(json.dumps(sorted(shares.items(), key=lambda item: -item[1])[:_LARGEST]))


def _name(file: str, function: str) -> str:
    """A readable name: type and name for built-in methods, module and name for others."""
    if match := re.fullmatch(r"<(?:built-in )?method '?([\w.]+)'?(?: of '([\w.]+)' objects)?>", function):
        owner = (match[2] or "").rsplit(".", 1)[-1]
        return f"{owner}.{match[1]}" if owner else match[1].removeprefix("builtins.")
    return function.strip("<>") if file == "~" else f"{Path(file).stem}.{function}"


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), [Path(file) for file in sys.argv[3:]])
