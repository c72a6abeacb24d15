"""`python -m generated`: writes the generated documents."""

from generated import DOCUMENTS, write

changed = write()
for name in DOCUMENTS:
    print(f"{name} {'was written' if name in changed else 'is up to date'}")
