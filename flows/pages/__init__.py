"""The texts of both UIs: results enter; sentences, tables and pictures leave."""
