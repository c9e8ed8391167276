"""What a project is: its settings, its errors."""
