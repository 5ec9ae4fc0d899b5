"""The isolation tiers by name, the best first; a verdict says which one its workers ran in."""

from __future__ import annotations

TIERS = ("namespaces", "landlock", "process")
UNFILTERED = " without seccomp"


def rank(tier: str) -> int:
    """Return how much a tier is worth, the best most; each is worth less without its filter of system calls."""
    return 2 * (len(TIERS) - TIERS.index(tier.removesuffix(UNFILTERED))) - tier.endswith(UNFILTERED)


def of_rank(number: int) -> str:
    """Return the tier of a rank."""
    return next(tier + told for tier in TIERS for told in ("", UNFILTERED) if rank(tier + told) == number)
