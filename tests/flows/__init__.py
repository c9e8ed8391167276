"""The loop end to end, and both UIs."""
