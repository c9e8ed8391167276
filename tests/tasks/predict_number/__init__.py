"""A toy kind: numbers in, a number out, judged by the squared error. A test puts it into a project."""

NAME = "predict_number"
SUMMARY = "A number for each row of numbers."
ABILITIES = ("feedback",)
