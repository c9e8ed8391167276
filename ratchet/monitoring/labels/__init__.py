"""Which labels to believe, and which to ask for. Pure."""
