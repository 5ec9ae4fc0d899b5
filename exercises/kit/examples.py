"""The name under which notebooks import `check` and `hint`."""

import sys
from collections.abc import Callable

from exercises.kit.checking.notebook import check as check
from exercises.kit.checking.notebook import install
from exercises.kit.lessons import KitError
from exercises.kit.studying.hints import next_hint


def hint(exercise: Callable | str) -> None:
    """Print the next of three hints for an exercise, as in hint(integer_range)."""
    try:
        print(next_hint(exercise if isinstance(exercise, str) else exercise.__name__))
    except KitError as error:
        print(error)


if "IPython" in sys.modules:
    shell = sys.modules["IPython"].get_ipython()
    if shell is not None:
        install(shell)
