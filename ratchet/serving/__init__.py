"""The prediction service: answers with the live versions. It imports neither MLflow nor the training libraries."""
