"""The isolation tiers by name, the best first; a verdict says which one its workers ran in."""

from __future__ import annotations

import os

TIERS = ("namespaces", "landlock", "process")
UNFILTERED = " without seccomp"
CHOSEN, REQUIRED = (
    "GRADERS_TIER",
    "GRADERS_REQUIRE_TIER",
)  # in the environment: the best to use, and the worst to accept


def rank(tier: str) -> int:
    """Return how much a tier is worth, the best most; each is worth less without its filter of system calls."""
    return 2 * (len(TIERS) - TIERS.index(tier.removesuffix(UNFILTERED))) - tier.endswith(UNFILTERED)


def of_rank(number: int) -> str:
    """Return the tier of a rank."""
    return next(tier + told for tier in TIERS for told in ("", UNFILTERED) if rank(tier + told) == number)


def wrong_setting() -> str:
    """Return what is wrong with the settings in the environment, "" if nothing is."""
    for name in (CHOSEN, REQUIRED):
        if os.environ.get(name, TIERS[0]) not in TIERS:
            return f"{name} is {os.environ[name]!r}; choose from {', '.join(TIERS)}"
    return ""


def enough(tier: str) -> bool:
    """Whether a tier is as good as the one that is required, if one is."""
    return rank(tier) >= rank(os.environ.get(REQUIRED, TIERS[-1] + UNFILTERED))
