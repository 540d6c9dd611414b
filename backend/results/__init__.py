"""The result file, written and read."""
