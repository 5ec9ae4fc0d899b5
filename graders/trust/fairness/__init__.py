"""Answers that nobody here wrote against the hidden tests, and what the public check says of every variant."""
