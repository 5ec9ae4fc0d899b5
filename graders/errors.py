"""What a command tells a person in one sentence instead of a traceback."""

import errno
import sys
from collections.abc import Callable

_EXTRA = "it comes with the extra [graders]: pip install -c requirements.lock -e '.[graders]' in the repository"
# What the system says of a place that cannot be written or read: not there, not allowed, full, or another kind of thing.
_PLACES = (
    *(errno.ENOENT, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EFBIG),
    *(errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG),
)


class Problem(ValueError):
    """Something about the call or its files is wrong; the text says what, and what to do."""

    status = 2


class Stopped(Problem):
    """The machine did not let a command go on; what was finished is kept."""

    status = 1


def exit_status(command: Callable[[], int]) -> int:
    """Run a command; return its exit status. What it cannot do for a known reason is told on the standard error."""
    try:
        return command()
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] in ("graders", "exercises", "solutions"):
            raise
        print(f"graders: {error.name} is not installed; {_EXTRA}", file=sys.stderr)
        return 1
    except Problem as problem:
        print(f"graders: {problem}", file=sys.stderr)
        return problem.status
    except OSError as error:
        if error.errno not in _PLACES:
            raise
        told = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
        print(f"graders: stopped ({told}); make room there or name another place, and run it again", file=sys.stderr)
        return 1
