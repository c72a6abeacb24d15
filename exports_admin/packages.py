"""The packages of `sam build`: their runtime, their size, and Lambda's limit."""

import sys

from checks.repository import ROOT
from exports_cli.trouble import Trouble

RUNTIME = f"python{sys.version_info.major}.{sys.version_info.minor}"
"""The Lambda runtime for which this Python builds."""
LAMBDA_LIMIT = 262_144_000
"""Maximum unzipped size of a function with its layers, in bytes ("Lambda quotas")."""


LARGEST = {
    "RunQuery": ("functions", "query layer", "reports layer"),
    "PlanParts": ("functions", "engine layer", "reports layer"),
}
"""The packages of the two functions that have the most. No other function has a package that neither of them has, but
for the layers of tokens and of the page, which are smaller."""


def sizes() -> dict[str, int]:
    """Unzipped size of the functions' package and of each large layer, in bytes."""
    built = ROOT / ".aws-sam" / "build"
    folders = {
        "functions": built / "RequestExport",
        "engine layer": built / "EngineLayer",
        "query layer": built / "QueryLayer",
        "reports layer": ROOT / "reports",
    }
    return {name: sum(f.stat().st_size for f in folder.rglob("*") if f.is_file()) for name, folder in folders.items()}


def require_allowed() -> str:
    """Checks the size of the largest function with its layers.

    Returns:
        One line about the sizes.

    Raises:
        Trouble: it is larger than Lambda allows.
    """
    packages = sizes()
    totals = {name: sum(packages[each] for each in those) for name, those in LARGEST.items()}
    largest = max(totals, key=lambda name: totals[name])
    listed = ", ".join(f"{name} {size / 1e6:.1f} MB" for name, size in packages.items())
    if (total := totals[largest]) >= LAMBDA_LIMIT:
        raise Trouble(f"Unzipped size: {listed}. {largest} has {total} bytes, but Lambda allows {LAMBDA_LIMIT}.")
    return f"Unzipped size: {listed}. {largest} has {total / 1e6:.1f} MB. Lambda allows {LAMBDA_LIMIT / 1e6:.1f} MB"
