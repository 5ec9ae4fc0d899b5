"""What does an instructor see of a whole class? One page, made of verdicts in one pass."""
