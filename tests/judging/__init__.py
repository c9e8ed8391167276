"""What is measured of a model, and who may replace whom: pure, so every figure is a case."""
