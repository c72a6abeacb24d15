"""`python -m checks`: prints every fault, and exits with 1 if there is one."""

import sys

from checks import documents, reports, template, workflow


def main() -> int:
    """Runs every check."""
    faults = [*reports.faults(reports.FOLDER), *workflow.faults(), *documents.faults(), *template.faults()]
    for fault in faults:
        print(fault, file=sys.stderr)
    if not faults:
        print("Reports, workflow, documents and template have no faults.")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
