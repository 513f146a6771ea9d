"""Philox and the numbers made of it on a GPU, in CUDA C (`words.cu`, `chances.cu`, `order.cu`). Formulas: `definition.py`.

Against the definition: a thread takes a block of four words from its counter to numbers in registers; the array library writes
some sixty arrays on the way. Words, uniform numbers, events, integers and orders are the same bits as on the CPU. An order is
found by counting instead of sorting.

Error: of normal numbers 1e-6, absolute, of the exact value of the formula.

Legend: n words or numbers drawn.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigen.backend import Array, empty

from ..combine import contiguous
from ..cuda.launch import each, launch
from .definition import Words

ORDERED = 128  # numbers of a block
Key = Words | Array  # four words: of the host, or (4,) uint32 in the device's memory


def words(key: Words, n: int, *, like: Any = None) -> Array:
    """The first `n` words of the draw of the key (k0, k1, c2, c3): (n,) uint32."""
    return _drawn("words", key, n, np.dtype(np.uint32), like)


def uniform(key: Words, n: int, dtype: np.dtype[Any], *, like: Any = None) -> Array:
    """u 2^-24 of the upper 24 bits, (n,) float32, exact, in [0, 1)."""
    return _drawn("uniform", key, n, dtype, like)


def normal(key: Words, n: int, dtype: np.dtype[Any], *, like: Any = None) -> Array:
    """(n,) standard normal numbers, float32; u is moved into (0, 1], where its logarithm is finite."""
    return _drawn("normal", key, n, dtype, like)


def bernoulli(key: Words, p: Any, n: int, dtype: np.dtype[Any], *, like: Any = None) -> Array:
    """1 where u < p, else 0: (n,) bool or float32; p a number or (n,)."""
    whole = dtype == np.float32
    happens = empty(n, np.float32 if whole else np.uint8, like=like)
    chances = (contiguous(p), 0.0) if hasattr(p, "dtype") else (None, p)
    kernel = "philox_happens_as_float" if whole else "philox_happens"
    each("philox/chances.cu", kernel, -(-n // 4), happens, n, *chances, *_either(key))
    return happens if whole else happens.view(np.bool_)


def integers(key: Words, high: int, n: int, *, start: int = 0, like: Any = None) -> Array:
    """start + floor(word high / 2^32), (n,) int64."""
    drawn = empty(n, np.int64, like=like)
    each("philox/chances.cu", "philox_integers", -(-n // 4), drawn, n, high, start, *_either(key))
    return drawn


def order(words: Array) -> Array:
    """The places of n random 64-bit numbers in rising order, (n,) int64: of words (n, 2), the upper half first."""
    n = len(words)
    places = empty(n, np.int64, like=words)
    launch("philox/order.cu", "philox_order", (-(-n // ORDERED),), (ORDERED,), contiguous(words), places, n)
    return places


def child(parent: Array, name: int, use: tuple[int, int]) -> Array:
    """The words (4,) of a key's child, in the device's memory: the cipher of its name, under another constant."""
    words = empty(4, np.uint32, like=parent)
    launch("philox/words.cu", "philox_child", (1,), (32,), words, parent, name, *use)
    return words


def _drawn(kernel: str, key: Key, n: int, dtype: np.dtype[Any], like: Any) -> Array:
    drawn = empty(n, dtype, like=like)
    if isinstance(key, tuple):
        each("philox/words.cu", f"philox_{kernel}", -(-n // 4), drawn, n, *key)
    else:
        each("philox/words.cu", f"philox_{kernel}_read", -(-n // 4), drawn, n, key)
    return drawn


def _either(key: Key) -> tuple[Any, ...]:
    """A key as the last arguments of a kernel that takes both kinds."""
    return (None, *key) if isinstance(key, tuple) else (key, 0, 0, 0, 0)
