"""What both UIs say: results enter, words, tables and pictures leave."""
