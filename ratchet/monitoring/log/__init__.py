"""The log of answers and of what people said of them: SQLite, or PostgreSQL."""
