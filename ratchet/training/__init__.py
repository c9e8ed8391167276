"""Training of a candidate in its own process."""
