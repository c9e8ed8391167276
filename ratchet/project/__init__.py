"""Paths and settings: params.yaml, data.dvc and the environment as frozen values."""
