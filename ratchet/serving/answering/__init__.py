"""The prediction core: the live models, batches of texts, the swap from one version to the next."""
