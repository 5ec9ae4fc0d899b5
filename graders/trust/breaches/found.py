"""What was found in one tier: which promises are held, and which are not."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from graders.trust import breaches
from graders.wire import tiers


@dataclass
class Tier:
    """What was found for one tier: its name as a verdict says it, why it could not be tried, and by promise what broke it.

    `deciding`: as whom a process decides there, and what broke the promises on it.
    """

    name: str
    absent: str = ""
    broken: dict[str, list[str]] = field(default_factory=dict)
    deciding: tuple[str, dict[str, list[str]]] = ("", {})

    def promised(self, promise: str) -> bool:
        """Whether this tier promises something here: without its filter of system calls it promises less."""
        tier = self.name.removesuffix(tiers.UNFILTERED)
        kept = set(breaches.PROMISED[tier])
        if tier != self.name:
            kept -= breaches.NEED_THE_FILTER | (breaches.NEED_IT_BESIDE_OTHERS if tier != "namespaces" else set())
        return promise in map(name_of, kept)

    @property
    def held(self) -> bool:
        """Whether everything that it promises is so."""
        told = [*self.broken.items(), *self.deciding[1].items()]
        return not any(found and self.promised(promise) for promise, found in told)

    def say(self) -> None:
        """Print a line per promise."""
        print(f"\n{self.name}{': not available here, ' + self.absent if self.absent else ''}")
        self._say(self.broken)
        if self.deciding[0]:
            print(f"  deciding there: {self.deciding[0]}")
            self._say(self.deciding[1], "    ")

    def _say(self, found: dict[str, list[str]], indent: str = "  ") -> None:
        for promise, broken in found.items():
            state = "not held" if broken else "held"
            if broken and self.promised(promise):
                state = "PROMISED, BUT NOT HELD"
            told = ": " + "; ".join(broken[:3]) if broken else ""
            print(f"{indent}{promise:<25}{state}{told}")


def name_of(promise: Any) -> str:
    """Return the name of a promise."""
    return str(promise.__doc__).partition(":")[0]
