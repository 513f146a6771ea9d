"""Random words and numbers: the counter-based generator behind `minigen.random`, which explains what it is for."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigen.backend import Array, array_module

from ..dispatch import Ladder
from .definition import Words

# Work: words. Even for a few, Numba takes 12 microseconds, and the definition's sixty passes of NumPy 100; but a program that
# draws no more than these should not have to wait for Numba.
LADDER = Ladder(__name__, numba="one_pass", numba_from=16)


def words(key: Words, n: int, *, like: Any = None) -> Array:
    """The first `n` words of the draw of a key, (n,) uint32, on the device of `like`: the same bits on every rung."""
    drawn: Array = _rung(n, like).words(key, n, like=like)
    return drawn


def uniform(key: Words, n: int, dtype: np.dtype[Any], *, like: Any = None) -> Array:
    """The first `n` words of the draw as numbers uniform on [0, 1), (n,) of `dtype`, on the device of `like`.

    Exact, and so equal on every rung.
    """
    drawn: Array = _rung(n, like, dtype).uniform(key, n, dtype, like=like)
    return drawn


def normal(key: Words, n: int, dtype: np.dtype[Any], *, like: Any = None) -> Array:
    """The first `n` words (one more where n is odd) as standard normal numbers, (n,) of `dtype`, on the device of `like`.

    The rungs agree to 4e-6 in float32 and 1e-14 in float64 (absolute): they round ln, cos and sin differently.
    """
    drawn: Array = _rung(n, like, dtype).normal(key, n, dtype, like=like)
    return drawn


def bernoulli(key: Words, p: Any, n: int, dtype: np.dtype[Any], *, like: Any = None) -> Array:
    """(n,) of `dtype`: 1 (True) where the number of `uniform` in float32 at this place is below p, else 0 (False).

    p is a number, rounded to float32, or an array (n,) on the device of `like`. Exact, and so equal on every rung.
    Raises ValueError on an array of another shape.
    """
    if hasattr(p, "shape") and p.shape != (n,):
        raise ValueError(f"philox.bernoulli: p {p.shape} must be a number or ({n},), a chance for each")
    chances = p.dtype if hasattr(p, "dtype") else np.float32
    known = dtype in (np.bool_, np.float32, np.float64) and chances in (np.float32, np.float64)
    rung = _rung(n, like, chances if known and (dtype != np.float64 or _on_cpu(like)) else None)
    drawn: Array = rung.bernoulli(key, p, n, dtype, like=like)
    return drawn


def integers(key: Words, high: int, n: int, *, start: int = 0, like: Any = None) -> Array:
    """The first `n` words of the draw as integers start + floor(word high / 2^32), (n,) int64, the same on every rung."""
    drawn: Array = _rung(n, like).integers(key, high, n, start=start, like=like)
    return drawn


def order(words: Array) -> Array:
    """The places of n random 64-bit numbers in rising order, (n,) int64, equal ones in the order in which they stand.

    words (n, 2), uint32, are their upper and lower halves. The result is the same on every device: on the CPU by NumPy's sort,
    on a GPU by counting how many lie below each, n^2 comparisons. That should take some tens of microseconds at n = 10^4 and
    milliseconds at 10^5, where the work fills the GPU. Raises ValueError on another shape, TypeError on other numbers.
    """
    if words.ndim != 2 or words.shape[1] != 2:
        raise ValueError(f"philox.order: words are (n, 2), the halves of n numbers, got shape {words.shape}")
    if words.dtype != np.uint32:
        raise TypeError(f"philox.order: words are uint32, got {words.dtype}")
    on_cpu = type(words) is np.ndarray
    rung = LADDER.load(LADDER.definition) if on_cpu else LADDER.choose_on_device(len(words), words.dtype, words)
    places: Array = rung.order(words)
    return places


def _rung(n: int, like: Any, dtype: Any = np.uint32) -> Any:
    """By size, type and device alone: what a key draws is the same in every process."""
    if n < 0:
        raise ValueError(f"philox: {n} words cannot be drawn")
    known = dtype in (np.uint32, np.float32, np.float64)
    if _on_cpu(like):
        return LADDER.choose_bits(n) if known else LADDER.load(LADDER.definition)
    return LADDER.choose_on_device(n, dtype, like)


def _on_cpu(like: Any) -> bool:
    return like is None or array_module(like) is np
