"""The import time of every function, and the size of what is deployed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
FUNCTIONS = ROOT / "functions"
_IMPORT = """
import json, sys, time
begun = time.perf_counter()
import {module}
print(json.dumps({{"seconds": time.perf_counter() - begun, "engine": "polars" in sys.modules}}))
"""


def imports(repetitions: int) -> dict[str, Any]:
    """By function: the import ``seconds`` of each repetition, and whether it loads the ``engine``."""
    environment = json.loads((ROOT / "events" / "environment.json").read_text())
    functions: dict[str, Any] = {}
    for _ in range(repetitions):
        for folder in sorted(each.parent.name for each in FUNCTIONS.glob("*/app.py")):
            name = "".join(word.capitalize() for word in folder.split("_"))
            variables = os.environ | environment.get(name, {}) | _AWS | {"PYTHONPATH": str(FUNCTIONS)}
            command = [sys.executable, "-c", _IMPORT.format(module=f"{folder}.app")]
            done = subprocess.run(command, env=variables, capture_output=True, text=True, check=True)
            measured = json.loads(done.stdout.splitlines()[-1])
            functions.setdefault(name, {"seconds": [], "engine": measured["engine"]})["seconds"].append(
                measured["seconds"]
            )
    return functions


_AWS = {
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_REGION": "us-east-1",
    "POWERTOOLS_METRICS_NAMESPACE": "benchmark",
    "POWERTOOLS_SERVICE_NAME": "benchmark",
}


def packages(build: Path) -> dict[str, int]:
    """Unzipped bytes of what ``sam build`` made: the functions' package and the layers, and the totals of functions.

    PlanParts and RunQuery have the most (:data:`exports_admin.packages.LARGEST`).
    """
    folders = {
        "functions": build / "RequestExport",
        "engine layer": build / "EngineLayer",
        "query layer": build / "QueryLayer",
        "reports layer": ROOT / "reports",
    }
    sizes = {name: _size(folder) for name, folder in folders.items() if folder.exists()}
    if len(sizes) == len(folders):
        for function, layer in (("PlanParts", "engine layer"), ("RunQuery", "query layer")):
            total = sizes["functions"] + sizes[layer] + sizes["reports layer"]
            sizes[f"{function}, of 262,144,000 bytes allowed"] = total
    return sizes


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
