"""The only package that reads and writes Parquet footers and their Thrift encoding."""
