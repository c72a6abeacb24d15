"""`python -m checks [reports]`: prints what is wrong; 1 when something is."""

import sys

from checks import reports


def main(words: list[str]) -> int:
    """Runs every check, or only the check of reports."""
    alone = words == ["reports"]
    faults = reports.faults(reports.FOLDER)
    if not alone:
        from checks import documents, iam, page, suites, template, workflow  # a report author need not wait for them

        faults += [*workflow.faults(), *documents.faults(), *template.faults(), *iam.faults(), *page.faults()]
        faults += suites.faults()
    for fault in faults:
        print(fault, file=sys.stderr)
    if not faults and alone:
        print(f"Valid: {', '.join(sorted(file.name for file in reports.FOLDER.glob('*.yaml')))}.")
    elif not faults:
        print("Reports, workflow, documents, template and page hold what they promise.")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
