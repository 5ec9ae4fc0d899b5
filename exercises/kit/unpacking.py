"""Let quanto unpack 4- and 2-bit codes without a C++ compiler."""

from types import ModuleType, SimpleNamespace

import torch
from torch import Tensor


def load_quanto() -> ModuleType:
    """Return optimum.quanto, after `unpack_in_torch()`."""
    from optimum import quanto

    unpack_in_torch()
    return quanto


def unpack_in_torch() -> None:
    """Make quanto unpack codes with torch where it would else compile C++.

    At the first use of qint4 or qint2 weights on a CPU, quanto 0.2.7 compiles an extension inside its installed package.
    That needs a compiler, a writable installation and half a minute, and waits for ever where a compilation was once killed;
    the codes are the same either way.
    """
    from optimum.quanto.library.extensions import get_extension, is_extension_available

    if is_extension_available("quanto_cpp"):
        get_extension("quanto_cpp")._lib = SimpleNamespace(unpack=_unpack)


def _unpack(packed: Tensor, bits: int) -> Tensor:
    """Split each byte into codes of `bits` bits, low bits first; the rows of the first codes come first."""
    return torch.cat([(packed >> shift) & (2**bits - 1) for shift in range(0, 8, bits)])
