"""Calls that a known mistake is asked instead of the exercise, and checks that its answers fail."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from exercises.kit.checking.closeness import Mismatch
from graders import lessons
from graders.judge import apart, checks, deciding, judge
from graders.judge.proxy import Proxy
from graders.wire import codec
from graders.worker import worker


def test_a_call_of_another_name_has_the_same_arguments() -> None:
    asked: list[bytes] = []
    answer = b"=" + codec.encode(0)
    Proxy(lambda call: asked.append(call) or answer).spacing(torch.ones(2), "text", dtype=torch.float16)
    renamed = apart._renamed(asked[0], "slip of the pen")
    assert (codec.called(asked[0]), codec.called(renamed)) == ("spacing", "slip of the pen")

    def seen(*args: object, **kwargs: object) -> object:
        return args, kwargs

    theirs = worker.answer({"slip of the pen": seen}, renamed)
    assert theirs == worker.answer({"spacing": seen}, asked[0])
    assert theirs[:1] == b"="


@pytest.mark.parametrize(("error", "refused"), [(None, False), (Mismatch("1", "2"), True), (KeyError("x"), True)])
def test_a_check_refuses_answers_by_whatever_it_raises(error: Exception | None, refused: bool) -> None:
    class Owner:
        def test(self, student: Proxy) -> None:
            if error:
                raise error

    check = checks.Check("test", "", True, False, Owner.test, ("student",), [checks.Case("", {})])
    decider = object.__new__(deciding.Decider)
    vars(decider).update(_as_recorded=lambda *_: False, seed="", reference=None)
    assert decider.refuses(checks.Exercise("f", 1, Owner, [check]), check, lambda call: b"") is refused


def test_what_was_recorded_is_not_asked_again_and_what_was_not_is_asked_of_who_runs_students_answers() -> None:
    asked: list[bytes] = []
    decider = object.__new__(deciding.Decider)
    recording = SimpleNamespace(answer={b"recorded": b"kept"}.get)
    vars(decider).update(
        recording=recording, _apart=SimpleNamespace(right=lambda call: asked.append(call) or b"worked out")
    )
    assert decider._answer_of_the_reference(b"recorded") == b"kept"
    assert decider._answer_of_the_reference(b"other") == b"worked out"
    assert asked == [b"other"]


@pytest.mark.parametrize("zygote", [None, object()], ids=["trusted code", "a submission"])
def test_what_depends_on_a_submission_is_worked_out_in_workers_of_its_zygote(zygote: Any) -> None:
    asks = judge.Judge(lessons.load("l2_data_types"), "seed", zygote)._apart
    assert (asks._zygote is zygote) if isinstance(asks, apart.Apart) else zygote is None
