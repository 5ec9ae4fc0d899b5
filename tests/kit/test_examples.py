"""The public check: examples parsed from the kit, values compared, messages of at most eight lines."""

import json
from pathlib import Path

import numpy
import pytest
import torch

from exercises.kit import lessons as kit_lessons
from exercises.kit.checking.examples import fingerprint, run
from exercises.kit.checking.notebook import check
from exercises.kit.checking.screen import printed_line
from exercises.kit.lessons import Exercise, KitError, hint_for, lessons

EXAMPLES = {
    "halve": """Return half of x.

    >>> halve(tensor([2.0, 6.0]))
    tensor([1., 3.])
    >>> halve(3.0)
    1.5
    """,
    "spread": """Return the smallest and the largest element.

    >>> x = torch.tensor([3, -1, 2])
    >>> y = x[:1]
    >>> spread(x)
    (-1, 3)
    >>> spread("text")
    Traceback (most recent call last):
        ...
    TypeError: only tensors
    """,
    "count": """Count the letters of a word.

    >>> count("abba")
    {'a': 2, 'b': 2}
    >>> count("")
    {}
    """,
    "limits": """Return inf and nan.

    >>> limits()
    [inf, nan]
    """,
}
HINTS = {
    "small": {
        "halve": [
            {"example": 0, "value": "torch.float32 (2,) cpu [2 6]", "hint": "nothing was halved"},
            {"example": 1, "value": "int 0x1", "hint": "// rounds down"},
        ],
        "spread": [
            {"example": 2, "value": "raises AttributeError", "hint": "look at the attribute"},
            {"example": 2, "value": "tuple(int 0x3, int -0x1)", "hint": "one"},
            {"example": 2, "value": "tuple(int 0x3, int -0x1)", "hint": "two"},
        ],
    }
}
STUB = "    # YOUR CODE HERE\n    raise NotImplementedError()\n"
RIGHT = {
    "halve": "def halve(x):\n    return x / 2\n",
    "spread": "def spread(x):\n    if not isinstance(x, torch.Tensor):\n        raise TypeError()\n"
    "    return int(x.min()), int(x.max())\n",
    "count": "def count(word):\n    return {letter: word.count(letter) for letter in reversed(word)}\n",
    "limits": "def limits():\n    return [inf, nan]\n",
}


@pytest.fixture(autouse=True)
def kit(tmp_path, monkeypatch):
    """A kit of two lessons in a temporary folder; the second has an exercise of the same name."""

    def exercise(name):
        return {"name": name, "core": True, "summary": "", "examples": EXAMPLES[name]}

    other = {"name": "halve", "core": True, "summary": "", "examples": ">>> halve(8)\n2\n"}
    table = [
        {"name": "small", "title": "Small", "exercises": [exercise(name) for name in EXAMPLES]},
        {"name": "other", "title": "Other", "exercises": [other, {**other, "name": "quarter"}]},
    ]
    (tmp_path / "lessons.json").write_text(json.dumps({"lessons": table}))
    (tmp_path / "hints.json").write_text(json.dumps(HINTS))
    monkeypatch.setattr(kit_lessons, "_KIT", tmp_path)
    monkeypatch.chdir(tmp_path)
    _forget()
    yield tmp_path
    _forget()


def _forget():
    kit_lessons.lessons.cache_clear()
    kit_lessons._hints.cache_clear()


def written(folder: Path, **bodies: str) -> dict:
    """The namespace of a student's file with these definitions, the rest as stubs, after a first line of imports."""
    definitions = [bodies.get(name, f"def {name}(*x):\n{STUB}") for name in EXAMPLES]
    text = "import torch; from math import inf, nan\n" + "".join(definitions)
    path = folder / "small.py"
    path.write_text(text)
    namespace = {"__name__": "small"}
    exec(compile(text, str(path), "exec"), namespace)
    return namespace


def result_of(folder: Path, name: str, body: str | None = None, **options):
    bodies = {} if body is None else {name: body}
    return run(find(name), written(folder, **bodies), **options)


def find(name: str) -> Exercise:
    return next(exercise for exercise in lessons()["small"].exercises if exercise.name == name)


class TestRight:
    @pytest.mark.parametrize("name", EXAMPLES)
    def test_right_answers_pass(self, kit, name):
        result = result_of(kit, name, RIGHT[name])
        assert result.outcome == "passed"
        assert result.message.startswith(f"{name}: ")

    def test_a_print_and_a_warning_change_nothing(self, kit, capsys, recwarn):
        body = "def halve(x):\n    import warnings\n    warnings.warn('oh')\n    print('half', x)\n    return x / 2\n"
        assert result_of(kit, "halve", body).outcome == "passed"
        assert not recwarn.list, "in a notebook it would stand beside the message"
        assert capsys.readouterr().out.startswith("half tensor")

    def test_examples_run_in_one_thread_and_the_threads_come_back(self, kit, monkeypatch):
        monkeypatch.setattr(torch, "get_num_threads", lambda: 3)  # as on a machine of three cores
        set_to: list[int] = []
        monkeypatch.setattr(torch, "set_num_threads", set_to.append)
        assert result_of(kit, "halve", RIGHT["halve"]).outcome == "passed"
        assert set_to == [1, 3] * 2, "halve has two examples"

    def test_a_python_float_may_round_and_a_tensor_may_not(self, kit):
        assert result_of(kit, "halve", "def halve(x):\n    return x * 0.5 + 1e-12 * (x == 3.0)\n").outcome == "passed"
        assert result_of(kit, "halve", "def halve(x):\n    return x * 0.5 + 1e-6\n").outcome == "wrong"

    def test_a_subclass_of_the_wanted_exception_counts(self, kit):
        body = RIGHT["spread"].replace("TypeError()", "type('MyError', (TypeError,), {})()")
        assert result_of(kit, "spread", body).outcome == "passed"

    def test_the_students_own_names_do_not_reach_the_wanted_values(self, kit):
        namespace = written(kit, limits=RIGHT["limits"])
        namespace.update(inf=1.0, nan=2.0, tensor=None)
        namespace["limits"] = lambda: [1.0, 2.0]
        assert run(find("limits"), namespace).outcome == "wrong"

    def test_one_exercise_leaves_torch_as_it_was(self, kit):
        body = "def halve(x):\n    torch.set_default_dtype(torch.float16)\n    torch.set_grad_enabled(False)\n    return x / 2\n"
        result = result_of(kit, "halve", body)
        assert (result.outcome, result.message.splitlines()[1:]) == (
            "wrong",
            [
                "  got    after the call torch's default dtype was torch.float32 and is torch.float16; "
                "torch.is_grad_enabled() was True and is False",
                "  want   arguments and torch's settings as they were before",
            ],
        )
        assert torch.get_default_dtype() == torch.float32
        assert torch.is_grad_enabled()

    def test_its_names_stay_as_they_were(self, kit):
        namespace = written(kit, **RIGHT)
        before = dict(namespace)
        run(find("spread"), namespace)
        assert namespace == before


class TestWrong:
    def test_four_parts(self, kit):
        assert result_of(kit, "halve", "def halve(x):\n    return x\n").message.splitlines() == [
            "halve(tensor([2.0, 6.0]))",
            "  got    tensor([2.0, 6.0]) (differs at [0] and 1 more)",
            "  want   tensor([1.0, 3.0])",
            "  hint   nothing was halved",
        ]

    def test_a_hint_belongs_to_its_own_example(self, kit):
        message = result_of(kit, "halve", "def halve(x):\n    return 1 if isinstance(x, float) else x / 2\n").message
        assert "hint" in message
        assert "rounds down" in message
        message = result_of(kit, "halve", "def halve(x):\n    return 1\n").message
        assert "hint" not in message

    def test_two_hints_for_one_value_are_none(self, kit):
        message = result_of(kit, "spread", "def spread(x):\n    return 3, -1\n").message
        assert (
            message.splitlines()[-1] == "  hint   the values are right, their order is not"
        )  # what holds of the values

    def test_what_prepares_the_call_is_never_cut(self, kit):
        prepared = [f"x_{at} = [{', '.join(['1.0'] * 40)}]" for at in range(6)]
        statement = (
            "".join(f">>> {line}\n" for line in prepared)
            + f">>> count([{', '.join(f'x_{at}' for at in range(6))}])\n1\n"
        )
        namespace = written(kit, count="def count(x):\n    return 2\n")
        message = run(Exercise("small", "count", True, "", statement), namespace).message
        assert message.splitlines()[:6] == prepared

    def test_what_rests_on_a_wrong_exercise_says_so_and_has_no_hint(self, kit):
        body = "def halve(x):\n    return x * len(count('a'))\n"
        namespace = written(kit, halve=body, count="def count(word):\n    return {}\n")
        lines = run(find("halve"), namespace).message.splitlines()
        assert lines[0] == "rests on count, which is not right yet"
        assert not any("hint" in line for line in lines)
        right = written(kit, halve="def halve(x):\n    return x * len(count('a'))\n", count=RIGHT["count"])
        assert run(find("halve"), right).message.splitlines()[-1] == "  hint   nothing was halved"

    def test_a_wrong_value_of_a_call_that_leaves_something_behind_says_both(self, kit):
        lines = result_of(kit, "halve", "def halve(x):\n    return x.mul_(3)\n").message.splitlines()
        assert lines[-1] == "  hint   it leaves something behind as well: after the call x has other values"

    def test_statements_that_prepare_the_call_are_shown_if_it_uses_them(self, kit):
        message = result_of(kit, "spread", "def spread(x):\n    return 0\n").message
        assert message.splitlines()[:3] == ["x = torch.tensor([3, -1, 2])", "spread(x)", "  got    0"]

    def test_statements_that_prepare_the_call_end_where_its_variables_begin(self, kit):
        prepared = [">>> x = [1.0]", ">>> x = [2.0]", ">>> def make():", "...     return x"]
        statement = "\n".join([*prepared, ">>> count(make())", "1"])
        message = run(
            Exercise("small", "count", True, "", statement), written(kit, count="def count(x):\n    return 2\n")
        ).message
        assert message.splitlines()[:4] == ["x = [2.0]", "def make():", "    return x", "count(make())"]

    @pytest.mark.parametrize(
        ("made", "shown"),
        [
            ("torch.quantize_per_tensor(torch.tensor([1.0, 0.3]), 0.1, 3, torch.quint8)", "dtype torch.quint8"),
            (
                "[torch.quantize_per_tensor(torch.tensor([1.0, 0.3]), 0.1, 3, torch.quint8)]",
                "list [tensor([1.0, 0.3], dtype=torch.quint8)]",
            ),
            (
                "[torch.nested.nested_tensor([torch.ones(2), torch.ones(3)])]",
                "list [tensor([[1.0, 1.0], [1.0, 1.0, 1.0]])]",
            ),
            ("torch.empty(2, dtype=torch.uint1)", "dtype torch.uint1"),
            ("[torch.empty(2, dtype=torch.uint1)]", "list [a tensor of torch.uint1 whose numbers cannot be read]"),
            ("torch.zeros(1, dtype=torch.float64).expand(10**10)", "dtype torch.float64"),
            ("freed(x / 2)", "a tensor of torch.float32 whose numbers cannot be read"),
            ("Odd()", "an object of type Odd"),
        ],
    )
    def test_what_cannot_be_read_has_a_message_too(self, kit, made, shown):
        odd = "class Odd:\n    def __getattribute__(self, name):\n        raise ValueError\n\n"
        odd += "def freed(x):\n    x.untyped_storage().resize_(0)\n    return x\n\n"
        lines = result_of(kit, "halve", f"{odd}def halve(x):\n    return {made}\n").message.splitlines()
        assert lines[1] == f"  got    {shown}"

    def test_what_grows_bit_by_bit_is_shown_from_its_beginning(self, kit):
        prepared = ["x = ['a']", "x += ['b']", "x += ['c']"]
        statement = "".join(f">>> {line}\n" for line in prepared) + ">>> count(x)\n1\n"
        namespace = written(kit, count="def count(x):\n    return 2\n")
        message = run(Exercise("small", "count", True, "", statement), namespace).message
        assert message.splitlines()[:4] == [*prepared, "count(x)"]

    def test_a_call_is_shown_where_the_example_asks_what_it_did(self, kit):
        statement = ">>> calls = []\n>>> other = len(calls)\n>>> found = count(calls)\n>>> calls\n[1]\n"
        namespace = written(kit, count="def count(x):\n    x.append(2)\n")
        asked = Exercise("small", "count", True, "", f"Work in place.\n\n{statement}")
        assert run(asked, namespace).message.splitlines()[:3] == ["calls = []", "found = count(calls)", "calls"]

    def test_an_exception_of_the_student_has_its_line(self, kit):
        body = "def spread(x):\n    return x.smallest, 1\n"
        lines = result_of(kit, "spread", body).message.splitlines()
        assert lines[2] == "  got    AttributeError: 'Tensor' object has no attribute 'smallest' (small.py:6)"
        assert lines[4] == "  hint   look at the attribute"

    def test_what_the_example_could_not_use_is_no_known_mistake(self, kit):
        """The same exception, but raised by the example on what came back."""
        body = "class Odd:\n    def __iter__(self):\n        raise AttributeError\n\ndef spread(x):\n    return Odd()\n"
        assert "look at the attribute" not in result_of(kit, "spread", body).message

    def test_a_long_message_is_cut(self, kit):
        body = "def halve(x):\n    raise ValueError('long\\n' * 1000)\n"
        got = result_of(kit, "halve", body).message.splitlines()[1]
        assert got.count("long") < 25
        assert "... (small.py:3)" in got

    def test_a_missing_exception_is_named(self, kit):
        body = "def spread(x):\n    return (-1, 3)\n"
        assert result_of(kit, "spread", body).message.splitlines()[-2:] == ["  got    (-1, 3)", "  want   TypeError"]

    def test_another_exception_is_wrong(self, kit):
        body = "def spread(x):\n    if x == 'text':\n        raise KeyError(x)\n    return -1, 3\n"
        message = result_of(kit, "spread", body).message
        assert "KeyError: 'text' (small.py:7)" in message
        assert "want   TypeError" in message

    def test_a_wrong_call_has_no_line(self, kit):
        message = result_of(kit, "halve", "def halve():\n    return 1\n").message
        assert "TypeError: halve() takes 0 positional arguments but 1 was given" in message
        assert ".py" not in message

    @pytest.mark.parametrize(
        "body",
        [
            "def halve(x):\n    raise SystemExit(0)\n",
            "def halve(x):\n    return halve(x)\n",
            "def halve(x):\n    class Bad(Exception):\n        def __str__(self):\n            return 1 / 0\n    raise Bad()\n",
            "def halve(x):\n    return [x] * 10**6\n",
            "def halve(x):\n    return 'line\\n' * 50\n",
            "def halve(x):\n    loop = []\n    loop.append(loop)\n    return loop\n",
            "def halve(x):\n    return halve\n",
            "def halve(x):\n    class Odd:\n        def __repr__(self):\n            raise ValueError\n    return Odd()\n",
            "halve = 3\n",
            "class halve:\n    def __init__(self, x):\n        self.x = x\n",
        ],
        ids=["exit", "recursion", "str", "long", "lines", "cycle", "function", "repr", "number", "class"],
    )
    def test_odd_answers_give_short_messages(self, kit, body):
        result = result_of(kit, "halve", body)
        assert result.outcome == "wrong"
        assert len(result.message.splitlines()) <= 8
        assert max(map(len, result.message.splitlines())) < 200
        assert "Traceback" not in result.message

    def test_a_time_limit_says_where(self, kit):
        class Limit(BaseException):
            pass

        namespace = written(kit, halve="def halve(x):\n    ring()\n")

        def ring():
            raise Limit("Timeout (>2.0s)")

        namespace["ring"] = ring
        message = run(find("halve"), namespace, stopped=Limit).message
        assert "got    no end after 2 s, stopped at small.py:3" in message
        with pytest.raises(Limit):
            run(find("halve"), namespace)


class TestNotStarted:
    def test_a_stub(self, kit):
        result = result_of(kit, "halve")
        assert (result.outcome, result.message) == ("not started", "halve is not started yet")

    def test_starter_code_does_not_start_it(self, kit):
        body = f"def spread(x):\n    if x == 'text':\n        raise TypeError()\n{STUB}".replace("x ==", "str(x) ==")
        assert result_of(kit, "spread", body).outcome == "not started"

    def test_not_implemented_in_torch_is_an_error(self, kit):
        body = "def halve(x):\n    return torch.zeros(2, device='meta').tolist()\n"
        assert result_of(kit, "halve", body).outcome == "wrong"

    def test_not_implemented_below_the_exercise_is_an_error(self, kit):
        body = "def halve(x):\n    def inner():\n        raise NotImplementedError()\n    return inner()\n"
        assert result_of(kit, "halve", body).outcome == "wrong"

    def test_an_exercise_that_calls_another(self, kit):
        body = "def count(word):\n    return halve(word)\n"
        result = result_of(kit, "count", body)
        assert (result.outcome, result.message) == ("waiting", "count needs halve first")

    def test_a_stub_whose_example_calls_another_is_not_started(self, kit):
        exercise = Exercise("small", "count", True, "", ">>> halve(1)\n2\n>>> count(1)\n2\n")
        assert run(exercise, written(kit)).outcome == "not started"

    def test_a_context_manager_and_a_class(self, kit):
        decorated = f"from contextlib import contextmanager\n@contextmanager\ndef halve(x):\n{STUB}"
        assert result_of(kit, "halve", decorated).outcome == "not started"
        method = (
            "class halve:\n    def __init__(self, x):\n        # YOUR CODE HERE\n        raise NotImplementedError()\n"
        )
        assert result_of(kit, "halve", method).outcome == "not started"

    def test_a_class_that_is_begun_says_which_method_is_missing(self, kit):
        exercise = Exercise("small", "halve", True, "", ">>> halve(1).f()\n2\n")
        begun = "class halve:\n    def __init__(self, x):\n        pass\n\n    def f(self):\n        raise NotImplementedError()\n"
        result = run(exercise, written(kit, halve=begun))
        assert result.outcome == "wrong"
        assert result.message == "halve(1).f()\n  got    nothing: halve.f is not written yet\n  want   2"
        assert (
            run(exercise, written(kit, halve=begun.replace("pass", "raise NotImplementedError()"))).outcome
            == "not started"
        )

    @pytest.mark.parametrize(
        ("written", "outcome"),
        [
            ("def __init__(self, x):\n        STUB\n\n    def f(self):\n        return 1\n", "not started"),
            ("def f(self):\n        STUB\n\n    def g(self):\n        STUB\n", "not started"),
            ("def __init__(self, x):\n        self.x = x\n", "wrong"),
        ],
        ids=["a method that was given", "no __init__", "begun"],
    )
    def test_a_class_is_not_started_while_its_init_is_the_stub_and_without_one_all_methods_are(
        self, kit, written, outcome
    ):
        text = f"class halve:\n    {written.replace('STUB', 'raise NotImplementedError()')}"
        assert result_of(kit, "halve", text).outcome == outcome

    def test_a_definition_that_is_gone(self, kit):
        result = result_of(kit, "halve", "def half(x):\n    return x / 2\n")
        assert (result.outcome, "not defined" in result.message) == ("missing", True)


class TestCheck:
    """`check(function)`, as a notebook calls it."""

    def test_prints_a_calm_line(self, kit, capsys):
        assert check(written(kit, **RIGHT)["halve"]) is None
        assert capsys.readouterr().out == "halve: 2 examples right\n"

    def test_prints_the_message_and_what_was_printed(self, kit, capsys):
        check(
            written(kit, halve="def halve(x):\n    print('x is', x)\n    print()\n    print(2)\n    return x\n")[
                "halve"
            ]
        )
        lines = capsys.readouterr().out.splitlines()
        assert lines[0] == "halve(tensor([2.0, 6.0]))"
        assert lines[-1] == "  print  x is tensor([2., 6.]) (and 2 more lines)"
        assert len(lines) <= 8

    def test_not_started_and_waiting(self, kit, capsys):
        namespace = written(kit, count="def count(word):\n    return halve(word)\n")
        check(namespace["halve"])
        check(namespace["count"])
        assert capsys.readouterr().out == "halve is not started yet\ncount needs halve first\n"

    def test_a_name_of_two_lessons_belongs_to_the_one_most_defined(self, kit, capsys):
        namespace = written(kit, **RIGHT)
        check(namespace["halve"])
        for name in ("spread", "count", "limits"):
            del namespace[name]
        namespace["quarter"] = len
        check(namespace["halve"])
        assert capsys.readouterr().out.splitlines()[:2] == ["halve: 2 examples right", "halve(8)"]

    def test_a_wrapped_function(self, kit, capsys):
        body = "from contextlib import contextmanager\n@contextmanager\ndef halve(x):\n    yield x\n"
        check(written(kit, halve=body)["halve"])
        assert capsys.readouterr().out.startswith("halve(tensor([2.0, 6.0]))\n  got    an object of type")

    @pytest.mark.parametrize("wrong", [3, None, "halve", torch.ones(2)], ids=repr)
    def test_takes_the_function_itself(self, kit, capsys, wrong):
        check(wrong)
        assert "the function itself" in capsys.readouterr().out

    def test_a_name_of_no_exercise(self, kit, capsys):
        check(len)
        assert capsys.readouterr().out == "len is not the name of an exercise.\n"

    def test_a_missing_kit_is_one_sentence(self, kit, capsys):
        function = written(kit, **RIGHT)["halve"]
        (kit / "lessons.json").unlink()
        _forget()
        check(function)
        assert (
            capsys.readouterr().out == "exercises/kit/lessons.json is missing: please fetch the course files again.\n"
        )


class TestKitData:
    @pytest.mark.parametrize("text", ["{", "[]", '{"lessons": [{}]}', '{"lessons": 3}', "\x00"])
    def test_damaged_lessons(self, kit, text):
        (kit / "lessons.json").write_text(text)
        _forget()
        with pytest.raises(KitError, match="damaged"):
            lessons()

    def test_hints_may_be_missing_but_not_damaged(self, kit):
        exercise = find("halve")
        assert hint_for(exercise, 1, "int 0x1") == "// rounds down"
        (kit / "hints.json").unlink()
        _forget()
        assert hint_for(exercise, 1, "int 0x1") is None
        (kit / "hints.json").write_text("{")
        _forget()
        with pytest.raises(KitError, match="damaged"):
            hint_for(exercise, 1, "int 0x1")

    def test_an_example_that_cannot_be_read(self, kit):
        exercise = Exercise("small", "halve", True, "", ">>> halve(2)\nabout one\n")
        with pytest.raises(KitError, match="about one"):
            run(exercise, written(kit, halve="def halve(x):\n    return x / 2\n"))  # of a stub no example is read


class TestFingerprint:
    @pytest.mark.parametrize(
        ("one", "other"),
        [
            (0.1, 0.1 + 1e-13),
            (-0.0, 0.0),
            ({"a": 1, "b": 2.0}, {"b": 2.0, "a": 1}),
            ({3, 1}, {1, 3}),
            (torch.tensor([-0.0]), torch.tensor([0.0])),
            (torch.arange(4).view(2, 2).t(), torch.tensor([[0, 2], [1, 3]])),
            (numpy.float64(0.5), 0.5),
            (torch.nn.Parameter(torch.ones(2)), torch.ones(2)),
        ],
        ids=repr,
    )
    def test_equal_answers(self, one, other):
        assert fingerprint(one) == fingerprint(other)

    def test_an_exception_of_the_function_counts_by_its_type_one_of_the_example_by_its_text_too(self):
        """`rotate(linear).weight` of a Sequential is no bias that was lost, though both end in an AttributeError."""
        one, other = AttributeError("no bias"), AttributeError("no weight")
        assert fingerprint(one, one) == fingerprint(other, other) == "raises AttributeError"
        assert fingerprint(one) != fingerprint(other)

    def test_different_answers(self):
        answers = [
            0, 0.0, False, None, "", "0", (), [], {}, set(), (0,), [0], [0.0], (0, 0), {0: 0}, float("nan"), float("inf"),
            torch.tensor(0), torch.tensor([0]), torch.tensor([0.0]), torch.tensor([0.0, 0.0]), torch.zeros(1, 2),
            torch.zeros(2, dtype=torch.float16), torch.zeros(2, dtype=torch.bfloat16), torch.zeros(2, device="meta"),
            torch.zeros(500), torch.ones(500), torch.float16, ValueError(), TypeError(), "ValueError", 0.1, 0.1000001,
            torch.tensor([1.0]).to(torch.float8_e4m3fn), torch.tensor([1.0]).to(torch.float8_e5m2), object(), [[[0]]],
        ]  # fmt: skip
        assert len({fingerprint(answer) for answer in answers}) == len(answers)

    def test_is_short(self):
        assert len(fingerprint(torch.rand(1000))) < 160
        assert len(fingerprint("long" * 1000)) < 160

    def test_a_huge_answer_takes_no_time(self):
        part = [torch.ones(10)] * 1000
        for _ in range(5):
            part = [part] * 1000
        assert len(fingerprint(part)) < 160
        assert fingerprint([0] * 10**6) != fingerprint([0] * (10**6 + 1))


def test_a_flood_of_prints_is_one_line():
    assert printed_line("x" * 1000 + "\n") == "  print  " + "x" * 77 + "..."
    assert printed_line("a\nb\n") == "  print  a (and 1 more line)"
    assert printed_line("\n\n") == "  print  blank lines"
