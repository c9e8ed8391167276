"""The answers of the service: bundles, batches, swaps."""
