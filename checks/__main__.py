"""`python -m checks [reports | deployment]`: prints what is wrong; 1 when something is."""

import sys

from checks import recipes, reports


def main(words: list[str]) -> int:
    """Runs every check.

    Args:
        words: ``reports`` runs only the check of reports. ``deployment`` leaves out whether the slow tests have
            passed on this checkout: who rolls back at night must not wait for them.
    """
    alone = words == ["reports"]
    faults = recipes.of(reports.faults, reports.FOLDER)
    if not alone:
        from checks import documents, iam, page, suites, template, workflow  # a report author need not wait for them

        checks = (workflow, documents, template, iam, page, *([] if words == ["deployment"] else [suites]))
        faults += [fault for each in checks for fault in recipes.of(each.faults)]
    for fault in faults:
        print(f"{fault} → docs/{fault.recipe}", file=sys.stderr)
    if not faults and alone:
        print(f"Valid: {', '.join(sorted(file.name for file in reports.FOLDER.glob('*.yaml')))}.")
    elif not faults:
        print("Reports, workflow, documents, template and page hold what they promise.")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
