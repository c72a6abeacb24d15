"""`python -m generated`: writes what is made of the code."""

from generated import DOCUMENTS, write

changed = write()
for name in DOCUMENTS:
    print(f"{name} {'was written' if name in changed else 'is as it was'}")
