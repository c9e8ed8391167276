"""Drift detection: samples enter, tests and estimates leave. Pure."""
