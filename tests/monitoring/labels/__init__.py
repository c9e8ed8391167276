"""Which texts are to be labelled."""
