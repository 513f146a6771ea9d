"""How the factors of products are rounded on a GPU: a choice of the whole program, made here and read by the CUDA C rungs.

    with precision("tf32"):
        c = matmul.matmul(a, b)

    name         bits of a factor       error that a sum of products adds
    "float32"    24, as it is           none: the default
    "tf32"       11                     2^-10 sum |a b|
    "bf16"       8                      2^-7 sum |a b|

It holds for products of matrices and for convolutions without groups, of float32 arrays on a GPU. All else is computed in
float32 whatever is chosen here: the sums of the products, attention, and everything on the CPU.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

PRECISIONS = ("float32", "tf32", "bf16")
_precision = "float32"


@contextmanager
def precision(name: str) -> Iterator[None]:
    """Within it, products of float32 numbers on a GPU are rounded as `name` says: "float32" (not at all), "tf32" or "bf16"."""
    global _precision
    if name not in PRECISIONS:
        raise ValueError(f"unknown precision {name!r}: choose one of {', '.join(map(repr, PRECISIONS))}")
    before, _precision = _precision, name
    try:
        yield
    finally:
        _precision = before


def chosen_precision() -> str:
    """The precision that products run in now."""
    return _precision
