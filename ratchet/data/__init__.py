"""Tables in, prepared, versioned, set aside."""
