"""The texts of both UIs."""
