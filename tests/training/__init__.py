"""What a training costs."""
