"""The pages for people: try an input, correct an answer, label the inputs that wait."""
