"""Selects the rows of an export and divides them into parts."""
