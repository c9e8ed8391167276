"""What the pages of both UIs say."""
