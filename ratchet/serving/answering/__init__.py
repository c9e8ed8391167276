"""The prediction core: the live models, batches of inputs, the swap from one version to the next."""
