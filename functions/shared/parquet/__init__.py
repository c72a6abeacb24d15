"""Reads and writes Parquet footers and their Thrift encoding. No other package does."""
