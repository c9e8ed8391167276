"""The pages for people: try a text, correct an answer, label the texts that wait."""
