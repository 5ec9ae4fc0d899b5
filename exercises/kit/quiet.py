"""What keeps transformers from the student's screen."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet_progress(quiet: bool = True) -> Iterator[None]:
    """Show no progress bars inside if `quiet`: what loads from a folder in a blink needs none, a download does."""
    from transformers.utils import logging

    hidden = quiet and logging.is_progress_bar_enabled()
    if hidden:
        logging.disable_progress_bar()
    try:
        yield
    finally:
        if hidden:
            logging.enable_progress_bar()


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Inside, show no progress bars and no warnings of transformers, if it is loaded."""
    if "transformers" not in sys.modules:
        yield
        return
    from transformers.utils import logging

    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        with quiet_progress():
            yield
    finally:
        logging.set_verbosity(verbosity)
