"""Data from the file that somebody brings to the rows that are learned from."""
