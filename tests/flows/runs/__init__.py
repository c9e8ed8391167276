"""What runs of flows leave behind."""
