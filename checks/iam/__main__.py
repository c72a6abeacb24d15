"""`make iam`: what each role is granted, what uses it, and why.

    python -m checks.iam          prints the table of the committed recording
    python -m checks.iam FILE     makes the recording from a run's file of decisions first

The exit status is 1 if a grant is idle, or a request was denied.
"""

import sys
from itertools import groupby
from pathlib import Path

from checks.iam import EXCEPTIONS, Comparison, Used, decisions
from checks.iam.decisions import Recording
from checks.iam.deployment import STACK
from checks.repository import read


def main(words: list[str]) -> int:
    """Prints a table for each role, and the faults."""
    document, exceptions = read("template.yaml"), read(EXCEPTIONS)
    if words:
        file = Path(words[0])
        recording, failed = decisions.made(file, document) if file.exists() else (Recording({}, []), [])
        if failed or not recording.decisions:
            print(f"Nothing was recorded: {', '.join(failed) or 'no role has acted'}", file=sys.stderr)
            return 1
        recording.write()
    comparison = Comparison(document, Recording.read(), exceptions)
    print("\n".join(rows(comparison)))
    faults = comparison.faults()
    for fault in faults:
        print(fault, file=sys.stderr)
    return 1 if faults else 0


def rows(comparison: Comparison) -> list[str]:
    """The lines of the tables, as Markdown."""
    lines: list[str] = []
    for role, uses in groupby(comparison.uses, key=lambda use: use.grant.role):
        lines += [f"\n## {role}\n", "| action | resource | statement | used by |", "|---|---|---|---|"]
        lines += [f"| {' | '.join(_cells(use))} |" for use in uses]
    return lines[1:]


def _cells(use: Used) -> list[str]:
    grant = use.grant
    resource = grant.resource.split(":", 5)[-1].replace(f"{STACK}-", "")
    statement = f"{grant.sid}: {grant.reason}" if grant.reason else grant.sid
    return [grant.action, resource.replace("|", "\\|"), statement, _used_by(use)]


def _used_by(use: Used) -> str:
    ordered = sorted(use.decisions, key=lambda decision: decision.tests[0].startswith("tests/iam"))  # the unusual last
    tests = list(dict.fromkeys(test for decision in ordered for test in decision.tests))
    if not tests:
        return f"AWS: {use.page}" if use.page else "**nothing**"
    others = len(tests) > 2 or any(decision.more for decision in use.decisions)
    shown = ", ".join(test.removeprefix("tests/") for test in tests[:2])
    return f"{shown} and others" if others else shown


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
