"""Ratchet's own parts: they know neither Prefect nor MLflow, and importing them does nothing."""
