"""The catalogue: the definitions of the reports."""
