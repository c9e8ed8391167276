"""The order of the house itself: borders, floors, READMEs, what holds for every verb and every test."""
