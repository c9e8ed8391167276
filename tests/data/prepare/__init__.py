"""Tables made ready."""
