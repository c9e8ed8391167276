"""What a row of texts to classes is."""
