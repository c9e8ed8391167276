"""Texts to classes."""
