"""The benchmarks run, and the simulated year is what it says."""
