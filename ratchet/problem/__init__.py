"""The problem: params.yaml and data.dvc as frozen values."""
