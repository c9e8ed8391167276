"""Every figure of the README, by one command each."""
