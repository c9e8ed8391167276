"""What a model of texts to classes takes and gives."""
