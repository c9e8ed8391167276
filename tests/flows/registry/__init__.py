"""The registry, and what follows it."""
