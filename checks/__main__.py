"""`python -m checks`: prints what is wrong; 1 when something is."""

import sys

from checks import documents, reports, suites, template, workflow


def main() -> int:
    """Runs every check."""
    faults = [*reports.faults(reports.FOLDER), *workflow.faults(), *documents.faults(), *template.faults()]
    faults += suites.faults()
    for fault in faults:
        print(fault, file=sys.stderr)
    if not faults:
        print("Reports, workflow, documents and template hold what they promise.")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
