"""Behaviour through public faces first; nothing is mocked."""
