"""What do people read of verdicts? Tables, screens and words; it imports `judge`, and never nbgrader."""
