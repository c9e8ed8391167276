"""Kills, power cuts, bad labels, bad surroundings: the product survives them."""
