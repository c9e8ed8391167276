"""What drift compares of numbers: each of the inputs, and the answer."""
