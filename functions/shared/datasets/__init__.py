"""The files of a dataset in the data bucket, without an engine: which objects hold rows, their folders and footers."""
