"""The registry and its follower."""
