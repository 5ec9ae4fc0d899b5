"""How an exercise, a check or a worker can end, and a student's text in a message about it."""

from __future__ import annotations

PASSED, FAILED, ERROR, NOT_STARTED = "passed", "failed", "error", "not started"


class WorkerEnded(Exception):
    """The worker is gone; `outcome` is `killed`, `memory` or `timeout`, the text says how."""

    def __init__(self, outcome: str, text: str) -> None:
        super().__init__(outcome, text)
        self.outcome, self.text = outcome, text

    def __str__(self) -> str:
        return self.text

    def again(self) -> WorkerEnded:
        """Return one to keep or to raise again: whoever keeps this one keeps what was at hand where it was raised, answers too."""
        return WorkerEnded(self.outcome, self.text)


def one_line(text: str, most: int = 1000) -> str:
    """Return a text that may be a student's so that it stays one line of a message: no line ends, no control characters."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text[:most])
