"""What a project is: its errors, its progress."""
