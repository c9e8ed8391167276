"""The prediction service: it answers with what is live, and knows neither MLflow nor the libraries that train."""
