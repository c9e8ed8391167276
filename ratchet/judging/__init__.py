"""Scores of a model, and the decision whether it goes live. Pure: outputs enter, a decision leaves."""
