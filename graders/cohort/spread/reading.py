"""Reading files where nobody else does: a zygote for that alone."""

from __future__ import annotations

from typing import Any

from graders import lessons
from graders.collecting.processes import Zygote


class Reader:
    """Has files read by a worker, for those whose names do not tell enough; the zygote is started when it is needed."""

    def __init__(self, hidden: tuple[str, ...]) -> None:
        self._zygote: Zygote | None = None
        self._hidden = hidden

    def read(self, data: bytes, notebook: bool, wanted: list[str]) -> dict[str, Any]:
        """Return the plans of a file by lesson, or the error."""
        self._zygote = self._zygote or Zygote(lessons.libraries(lessons.LIGHT[0]), self._hidden)
        return self._zygote.read(data, notebook, {name: lessons.exercises(name) for name in wanted})

    def close(self) -> None:
        if self._zygote is not None:
            self._zygote.close()
