"""What `make data` does: a table is read, understood, validated, and becomes the next data version."""
