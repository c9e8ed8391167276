"""Has what the model meets moved? Samples enter, tests and estimates leave. Pure."""
