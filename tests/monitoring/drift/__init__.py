"""What has moved, and how right the model still is."""
