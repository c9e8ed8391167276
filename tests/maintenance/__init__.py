"""What is kept, moved and upgraded."""
