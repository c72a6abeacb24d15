"""The architecture as template.yaml, the state machines and the reports state it: as a document, and as a difference.

:mod:`architecture.model` reads them, :mod:`architecture.document` writes docs/architecture.md from it, and
:mod:`architecture.diff` compares two of them. Nothing that is deployed imports this package.
"""
