"""Scores of a model, and the decision whether it goes live. Pure: probabilities enter, a decision leaves."""
