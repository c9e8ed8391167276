"""The prediction service: its protocols, its pages, and what it bears."""
