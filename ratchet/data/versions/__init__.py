"""The data version: its files in DVC's cache, a change of it, the rows set aside."""
