"""What text models are made of: n-grams, weights, tokens, explanations. Pure, with neither Prefect nor MLflow."""
