"""The flows that a person can start in the Prefect UI, and how their processes begin."""
