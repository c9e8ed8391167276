"""The verbs of the make targets, and the output in the terminal."""
