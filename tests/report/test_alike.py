"""Pairs are told by what students wrote themselves, not by the line that everybody writes."""

from __future__ import annotations

import re
import time

import pytest

from graders.bench import answers
from graders.report import written
from graders.report.of_class import alike
from graders.report.written import Written
from tests.report.verdicts import verdict

L2 = "l2_data_types"
OWN = """def spacing(value, dtype):
    {doc}
    info = torch.finfo(dtype)
    stored = torch.tensor(value, dtype=torch.float64).to(dtype).double(){comment}
    exponent = torch.floor(torch.log2(stored.abs().clamp(min=info.smallest_normal)))
    for step in range({number}):
        exponent = exponent - step * 0
    return float(torch.exp2(exponent) * info.eps)
"""
TWO = ("spacing", "downcast")


def handed_in(number: int = 1, doc: str = '"""Mine."""', comment: str = "", rename: bool = False) -> dict[str, str]:
    code = OWN.format(doc=doc, comment=comment, number=number)
    if rename:
        code = re.sub(r"\bexponent\b", "e", re.sub(r"\bstored\b", "my_value", code))
    return {name: alike.packed(alike.runs(name, code)) for name in TWO}


def other(number: int) -> dict[str, str]:
    """Somebody's own work: nothing of it is anybody else's."""
    return {name: alike.packed({100_000 * number + at for at in range(60)}) for name in TWO}


def test_names_comments_docstrings_and_form_hide_nothing() -> None:
    copied = handed_in(1, '"""Other words."""', "  # all my own work", rename=True)
    assert handed_in() == copied
    ((one, two, shared, fewer, where),) = alike.pairs([("ann", handed_in()), ("bob", copied), ("cy", other(1))])
    assert (one, two, where) == ("ann", "bob", list(TWO))
    assert shared == fewer > alike.LEAST


@pytest.mark.parametrize("begin", ["'", '"', "'''", 'f"""'])
def test_quotes_that_never_end_are_read_in_short_time(begin: str) -> None:
    text = f"a = 1 + 2 + 3 + 4 + 5\nx = {begin}" + ("\\" + begin[-1]) * (written.LONGEST // 2)
    begun = time.process_time()
    assert alike.tokens(text)[:3] == ["n", "=", "1"]
    assert time.process_time() - begun < 0.5


def test_what_many_have_and_what_is_short_is_no_pair() -> None:
    many = [(f"s{at}", handed_in()) for at in range(alike.COMMON + 1)]
    assert alike.pairs(many) == []
    assert len(alike.pairs(many[:-1])) == alike.COMMON * (alike.COMMON - 1) / 2
    short = {
        name: alike.packed(alike.runs(name, "def f(x):\n    return x.to(torch.float16) + x - 1 * 2\n")) for name in TWO
    }
    assert alike.pairs([("ann", short), ("bob", short)]) == []
    in_one = {"spacing": handed_in()["spacing"]}
    assert alike.pairs([("ann", in_one), ("bob", in_one)]) == []
    assert alike.pairs([]) == []


@pytest.mark.parametrize(
    "code",
    ["'" * 5001, '"""' + "\\" * 9999, "(" * 50_000, "-" * 99_999, "\ud800\x00é", "x = '''\n" * 3000],
    ids=range(6),
)
def test_any_text_is_read_in_time_that_grows_with_it(code: str) -> None:
    alike.runs("spacing", code)


def test_the_stub_and_the_reference_leave_nothing_to_compare() -> None:
    for name, known in answers.of_lesson(L2).items():
        assert name not in written.told(L2, {name: known[0].text})["runs"]


def test_what_was_written_is_kept_by_student_and_lesson_and_survives_a_torn_line(tmp_path) -> None:
    first = Written(tmp_path)
    for code in ("old", "new"):
        made = verdict("ann") | {"written": {"code": {"spacing": code}, "runs": {}}}
        first.add(made)
        assert "written" not in made
    with (tmp_path / "written.jsonl").open("ab") as file:
        file.write(b'\n{"student": "bob", "less')
    again = Written(tmp_path)
    again.add(verdict("cy") | {"written": {"code": {}, "runs": {"f": "AAAA"}}})
    last = Written(tmp_path)
    assert last.of("ann", "l2_data_types")["code"] == {"spacing": "new"}
    assert last.of("bob", "l2_data_types") == last.of("ann", None) == {"code": {}, "runs": {}}
    assert last.of("cy", "l2_data_types")["runs"] == {"f": "AAAA"}
    assert last.drop("ann")
    assert not last.drop("ann")
    assert b"ann" not in (tmp_path / "written.jsonl").read_bytes()
