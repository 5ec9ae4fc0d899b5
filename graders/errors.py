"""What a command tells a person in one sentence instead of a traceback."""


class Problem(ValueError):
    """Something about the call or its files is wrong; the text says what, and what to do."""
