"""The kinds of problems."""
