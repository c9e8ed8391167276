"""What every run of the loop shares: its lock, its name, the servers it needs, what it closes after a kill."""
