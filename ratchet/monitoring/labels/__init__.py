"""Vetting of labels, and choice of the texts to label. Pure."""
