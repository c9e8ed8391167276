"""What a person can start in the Prefect UI, and how its processes begin."""
