"""Server processes: start, supervision, end, and access control."""
