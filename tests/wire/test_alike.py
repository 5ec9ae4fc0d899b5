"""Which answers count as right before a check looks at them."""

import json

import pytest

from graders.wire.alike import is_right

RAISED = {
    "kind": "ValueError", "bases": ["ValueError", "Exception", "BaseException", "object"], "text": "no", "line": None,
    "in_file": False, "function": "", "source": "",
}  # fmt: skip
MISSING = RAISED | {"kind": "NotImplementedError", "bases": ["NotImplementedError"]}


def reply(raised: dict, **other: object) -> bytes:
    return b"!" + json.dumps(raised | other).encode()


@pytest.mark.parametrize(
    ("theirs", "right", "same"),
    [
        (b"=1", b"=1", True),
        (b"=1", b"=2", False),
        (reply(RAISED, text="never", line=7, in_file=True, function="f", source="raise"), reply(RAISED), True),
        (reply(RAISED, kind="TypeError"), reply(RAISED), False),
        (reply(RAISED, bases=["ValueError"]), reply(RAISED), False),
        (reply(MISSING, source="raise NotImplementedError"), reply(MISSING), False),
        (reply(MISSING), reply(MISSING), True),
        (reply(RAISED, more=1), reply(RAISED), False),
        (b"!{", reply(RAISED), False),
        (b"![" + b"[" * 1000, reply(RAISED), False),
        (b"~" + reply(RAISED), reply(RAISED), False),
        (b"", b"", True),
    ],
)
def test_an_answer_is_right_by_its_bytes_or_as_an_exception_of_the_same_type(
    theirs: bytes, right: bytes, same: bool
) -> None:
    assert is_right(theirs, right) is same
