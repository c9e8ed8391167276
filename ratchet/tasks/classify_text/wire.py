"""The bodies of /predict and /feedback for texts to classes."""
