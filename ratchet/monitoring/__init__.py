"""Monitoring of live traffic: prediction log, feedback, label queue, drift, and the rule for retraining."""
