"""Who handed in what, and what became of it? Many submissions, and the book of their verdicts.

It imports `judge` and `lessons`.
"""
