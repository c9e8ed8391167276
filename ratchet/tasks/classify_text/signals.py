"""What drift compares of texts and classes."""
