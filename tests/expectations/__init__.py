"""The checks of a table."""
