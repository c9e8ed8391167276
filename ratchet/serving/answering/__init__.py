"""The answers themselves: the models that are live, batches of texts, the swap from one version to the next."""
