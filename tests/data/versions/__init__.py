"""Versions of the data, and what was set aside of them."""
