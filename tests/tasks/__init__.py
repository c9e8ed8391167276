"""The kinds of problems: their contract, and a toy kind that goes through the whole loop."""
