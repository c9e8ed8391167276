"""From a table to the rows that a model learns from: canonical columns, facts, copies, the split."""
