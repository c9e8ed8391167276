"""The problem: its settings and its pinned data."""
