"""Files of tables and frames, however large."""
