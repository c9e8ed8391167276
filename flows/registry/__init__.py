"""The registry of runs, versions and aliases: the only code that knows MLflow."""
