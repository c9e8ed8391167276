"""How good is a model, and does it go live? Pure: answers enter, a decision leaves."""
