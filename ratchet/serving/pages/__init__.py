"""The pages that a person opens: try a text, correct an answer, label what waits."""
