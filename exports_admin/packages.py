"""What `sam build` makes: for which runtime, how large it is, and whether Lambda takes it."""

import sys

from checks.repository import ROOT
from exports_cli.trouble import Trouble

RUNTIME = f"python{sys.version_info.major}.{sys.version_info.minor}"
"""The Lambda runtime that this Python builds for."""
LAMBDA_LIMIT = 262_144_000
"""Bytes that a function and its layers may have unzipped ("Lambda quotas")."""


def sizes() -> dict[str, int]:
    """Unzipped bytes of the functions' package and of each layer."""
    built = ROOT / ".aws-sam" / "build"
    folders = {
        "functions": built / "RequestExport",
        "engine layer": built / "EngineLayer",
        "reports layer": ROOT / "reports",
    }
    return {name: sum(f.stat().st_size for f in folder.rglob("*") if f.is_file()) for name, folder in folders.items()}


def require_allowed() -> str:
    """One line about the sizes.

    Raises:
        Trouble: together they are larger than Lambda allows.
    """
    found = sizes()
    total = sum(found.values())
    words = ", ".join(f"{name} {size / 1e6:.1f} MB" for name, size in found.items())
    if total >= LAMBDA_LIMIT:
        raise Trouble(f"Unzipped: {words}; together {total} bytes. Lambda allows {LAMBDA_LIMIT}.")
    return f"Unzipped: {words}; together {total / 1e6:.1f} MB of the {LAMBDA_LIMIT / 1e6:.1f} MB that Lambda allows"
