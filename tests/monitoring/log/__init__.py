"""The log of predictions."""
