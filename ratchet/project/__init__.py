"""What a project stands on: its paths, its errors, its progress lines, its files that survive a kill."""
