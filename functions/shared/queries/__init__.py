"""Runs the query of a report in DuckDB. Only RunQuery and the checks import it: DuckDB has a layer of its own."""
