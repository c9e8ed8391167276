"""The example sets."""
