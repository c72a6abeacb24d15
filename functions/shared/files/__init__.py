"""The files of an export: work files, receipts, formats, and the final file."""
