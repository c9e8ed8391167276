"""What is seen of a model at work: its log, its drift, its labels, and when the loop turns again."""
