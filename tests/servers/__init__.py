"""The servers of a project: how they begin, whom they answer, how they stay up."""
