"""What a make target does, and what a person reads in the terminal."""
