"""The log of predictions and their labels, in SQLite or PostgreSQL."""
