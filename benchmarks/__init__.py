"""Measures the speed and memory that the project claims; each script's docstring says what it measures and how."""
