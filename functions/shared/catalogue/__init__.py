"""What can be exported: the definitions of the reports."""
