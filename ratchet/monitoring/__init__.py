"""What live traffic and people brought: the log, feedback, labels to ask for, drift, when to retrain."""
