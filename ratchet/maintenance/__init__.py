"""Backup and restore, pruning, schema migrations, and the move of a registry to a server."""
