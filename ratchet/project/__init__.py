"""Where the project is, and what params.yaml, data.dvc and the environment say, as frozen values."""
