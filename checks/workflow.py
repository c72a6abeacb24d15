"""The workflow gate."""

from checks import Fault


def faults() -> list[Fault]:
    """What is wrong with the workflow."""
    return []
