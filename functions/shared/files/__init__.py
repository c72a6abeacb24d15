"""The bytes: work files, receipts, formats, and the one file that is made of them."""
