"""How models read a text."""
