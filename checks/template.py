"""The template gate."""

from checks import Fault


def faults() -> list[Fault]:
    """What is wrong with the template."""
    return []
