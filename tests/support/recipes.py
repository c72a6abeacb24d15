"""The page that helps when a test says that something new is incomplete; `checks/recipes.py` does so for make check."""

from pathlib import Path

TESTS = Path(__file__).parents[1]
PAGES = {
    "faults": "howto/add-a-state.md",
    "fixtures": "events.md",
    "unit/formats": "howto/add-a-format.md",
    "unit/test_alarms.py": "howto/add-a-queue-consumer.md",
    "unit/test_contracts.py": "howto/add-a-function.md",
    "unit/test_dashboard.py": "howto/add-a-function.md",
    "unit/test_deploy_roles.py": "howto/add-a-permission.md",
    "unit/test_documents.py": "howto/review-a-change.md",
    "unit/test_physical_names.py": "howto/roll-back.md",
    "unit/test_sources.py": "howto/add-a-source.md",
    "workflow/test_ways.py": "howto/add-a-state.md",
}
"""Pages under docs/, by file or folder of tests."""


def page(test: Path) -> str | None:
    """The page for a file of tests, relative to docs/."""
    inside = test.relative_to(TESTS)
    return next((PAGES[name] for each in (inside, *inside.parents) if (name := each.as_posix()) in PAGES), None)
