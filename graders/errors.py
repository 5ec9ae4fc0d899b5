"""What a command tells a person in one sentence instead of a traceback."""


class Problem(ValueError):
    """Something about the call or its files is wrong; the text says what, and what to do."""

    status = 2


class Stopped(Problem):
    """The machine did not let a command go on; what was finished is kept."""

    status = 1
