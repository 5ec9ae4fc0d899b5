"""Lines of the student's screen: how they are cut, and what is said of a file that cannot be loaded."""

import io
from pathlib import Path

import pytest
from _pytest._io import TerminalWriter

from exercises.kit.checking.loading import loaded
from exercises.kit.checking.screen import Entry, show, wrapped
from exercises.kit.lessons import KitError


@pytest.mark.parametrize(
    ("line", "pieces"),
    [
        ("  one two three", ["  one two", "      three"]),
        ("one two three four", ["one two", "three four"]),
        ("  got    1 2 3 4 5", ["  got    1 2", "         3 4", "         5"]),
        ("  a_word_that_is_long", ["  a_word_that_is_long"]),
        ("", [""]),
    ],
    ids=["set in", "at the margin", "below a label", "a longer word", "nothing"],
)
def test_long_lines_are_cut_between_words(line: str, pieces: list[str]) -> None:
    assert wrapped(line, 12) == pieces


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("x = 1\nimport nothing_of_this_name\n", "ModuleNotFoundError.*mine.py:2"),
        ("x = 1\ndef f(:\n", "SyntaxError.*mine.py:2"),
        ("x = 1\nexec('1 +')\n", "SyntaxError.*mine.py:2"),
    ],
    ids=["an exception", "its syntax", "the syntax of other code"],
)
def test_a_file_that_cannot_be_loaded_is_told_with_the_line(text: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(text)
    with pytest.raises(KitError, match=f"mine could not be loaded: {told}"):
        loaded(tmp_path / "mine.py", "mine", 10)


def test_what_was_judged_right_is_counted_apart_from_what_is_right_by_its_examples() -> None:
    def entry(position: int, outcome: str, judged: bool = False) -> Entry:
        return {"lesson": "l1", "position": position, "core": True, "name": f"f{position}", "outcome": outcome,
                "judged": judged, "place": "l1.py:1", "message": "", "printed": "", "total": 3}  # fmt: skip

    written = io.StringIO()
    show(TerminalWriter(written), [entry(1, "passed", judged=True), entry(2, "passed"), entry(3, "not started")])
    assert "\n1 right, 1 right by their examples, 1 not started\n" in written.getvalue()
