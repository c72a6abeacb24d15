"""The packages of `sam build`: their runtime, their size, and Lambda's limit."""

import sys

from checks.repository import ROOT
from exports_cli.trouble import Trouble

RUNTIME = f"python{sys.version_info.major}.{sys.version_info.minor}"
"""The Lambda runtime for which this Python builds."""
LAMBDA_LIMIT = 262_144_000
"""Maximum unzipped size of a function with its layers, in bytes ("Lambda quotas")."""


def sizes() -> dict[str, int]:
    """Unzipped size of the functions' package and of each layer, in bytes."""
    built = ROOT / ".aws-sam" / "build"
    folders = {
        "functions": built / "RequestExport",
        "engine layer": built / "EngineLayer",  # larger than the tokens layer, and no function has both
        "reports layer": ROOT / "reports",
    }
    return {name: sum(f.stat().st_size for f in folder.rglob("*") if f.is_file()) for name, folder in folders.items()}


def require_allowed() -> str:
    """Checks the total size.

    Returns:
        One line about the sizes.

    Raises:
        Trouble: the total is larger than Lambda allows.
    """
    packages = sizes()
    total = sum(packages.values())
    listed = ", ".join(f"{name} {size / 1e6:.1f} MB" for name, size in packages.items())
    if total >= LAMBDA_LIMIT:
        raise Trouble(f"Unzipped size: {listed}. The total is {total} bytes, but Lambda allows {LAMBDA_LIMIT}.")
    return f"Unzipped size: {listed}. The total is {total / 1e6:.1f} MB. Lambda allows {LAMBDA_LIMIT / 1e6:.1f} MB"
