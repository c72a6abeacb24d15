"""The one reader and writer of Parquet footers, and of the Thrift in them."""
