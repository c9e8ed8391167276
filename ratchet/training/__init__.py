"""One candidate, trained in a process of its own."""
