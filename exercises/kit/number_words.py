"""The task of the tiny T5: numbers from 0 to 999999 to English words, and back."""

import hashlib
import random

LARGEST = 999_999
TO_WORDS = "translate number to words: "
TO_NUMBER = "translate words to number: "
UNITS = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")


def in_words(number: int) -> str:
    """Return the number, 0 to 999999, in English words: 4071 is "four thousand seventy-one"."""
    if not 0 <= number <= LARGEST:
        raise ValueError(f"expected a number from 0 to {LARGEST}, got {number}")
    thousands, rest = divmod(number, 1000)
    if thousands:
        return f"{_below_thousand(thousands)} thousand" + (f" {_below_thousand(rest)}" if rest else "")
    return _below_thousand(rest)


def _below_thousand(number: int) -> str:
    hundreds, rest = divmod(number, 100)
    if hundreds:
        return f"{UNITS[hundreds]} hundred" + (f" {_below_thousand(rest)}" if rest else "")
    if rest < 20:
        return UNITS[rest]
    tens, unit = divmod(rest, 10)
    return TENS[tens - 2] + (f"-{UNITS[unit]}" if unit else "")


def is_held_out(number: int) -> bool:
    """Tell whether the tiny T5 never saw the number in training: about a tenth of those from 100 on, by their hash."""
    return number >= 100 and hashlib.sha256(str(number).encode()).digest()[0] < 26


def draw_number(source: random.Random, held_out: bool) -> int:
    """Draw a number of three to six digits, each length equally often; if not held out, one in eight is below 100."""
    while True:
        short = not held_out and source.random() < 1 / 8
        digits = source.randint(1, 2) if short else source.randint(3, 6)
        number = source.randrange(10 ** (digits - 1) if digits > 1 else 0, 10**digits)
        if is_held_out(number) == held_out:
            return number


def pair(number: int, to_words: bool) -> tuple[str, str]:
    """Return the prompt and the expected text for one number in one direction."""
    return (TO_WORDS + str(number), in_words(number)) if to_words else (TO_NUMBER + in_words(number), str(number))


def number_pairs(count: int, seed: int = 0, held_out: bool = True) -> list[tuple[str, str]]:
    """Return `count` (prompt, expected) pairs, to words and to number in turn, of held-out or of training numbers."""
    source = random.Random(seed)
    return [pair(draw_number(source, held_out), to_words=index % 2 == 0) for index in range(count)]
