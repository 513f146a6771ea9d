"""Philox-4x32-10 (Salmon, Moraes, Dror and Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3"), plainly.

A small block cipher: ten rounds turn a counter of four 32-bit words, under a key of two, into four random words. Each round
multiplies two of the words to 64 bits and crosses the halves over:

    (c0, c1, c2, c3)  ->  (hi(M1 c2) ^ c1 ^ k0,  lo(M1 c2),  hi(M0 c0) ^ c3 ^ k1,  lo(M0 c0))

A draw of n words is the cipher at the counters 0, 1, 2, ...: word i is word i % 4 of block i // 4. Any block can be computed
without the others, by any thread of any device, and always gives the same bits.

What a word means is fixed here too, so that every device reads the same number out of it. With u in [0, 1) from one word,
uniform is u; two neighbours u, v make two standard normal numbers (Box and Muller 1958), by an exponential radius and an angle:

    sqrt(-2 ln u) (cos 2 pi v, sin 2 pi v)

An event of probability p happens where u < p, and an integer below `high` is floor(word high / 2^32).

float32 has room for the upper 24 bits of a word, float64 for all 32: the same noise, differently rounded.

A random permutation is the order of n random numbers, of 64 bits: that two of them are equal is rare enough, n^2 2^-65, and
then the first comes first.

Legend: n words or numbers drawn, B blocks of four words.
"""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np

from minigen.backend import Array, array_module

Words: TypeAlias = tuple[int, int, int, int]  # of a key: two for the cipher's key, two for the upper half of its counter

MULTIPLIERS = 0xD2511F53, 0xCD9E8D57
WEYL = 0x9E3779B9, 0xBB67AE85  # the golden ratio and sqrt(3) - 1, as 32-bit fractions: added to the key every round
_LOW = 0xFFFFFFFF


def philox(counter: tuple[Any, Any, Any, Any], key: tuple[int, int]) -> tuple[Any, Any, Any, Any]:
    """Four words of counter and two of key -> four random words, each below 2^32.

    The words of `counter` are Python's integers, or arrays (B,) of uint64, below 2^32; the result is of the same kind.
    """
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        p0, p1 = MULTIPLIERS[0] * c0, MULTIPLIERS[1] * c2
        c0, c1, c2, c3 = (p1 >> 32) ^ c1 ^ k0, p1 & _LOW, (p0 >> 32) ^ c3 ^ k1, p0 & _LOW
        k0, k1 = (k0 + WEYL[0]) & _LOW, (k1 + WEYL[1]) & _LOW
    return c0, c1, c2, c3


def words(key: Words, n: int, *, like: Any = None) -> Array:
    """The first `n` words of the draw of the key (k0, k1, c2, c3): (n,) uint32."""
    xp = np if like is None else array_module(like)
    k0, k1, c2, c3 = key
    block = xp.arange((n + 3) // 4, dtype=np.uint64)  # (B,)
    counter = block & _LOW, block >> 32, xp.full_like(block, c2), xp.full_like(block, c3)
    drawn: Array = xp.stack(philox(counter, (k0, k1)), 1).reshape(-1)[:n].astype(np.uint32)
    return drawn


def order(words: Array) -> Array:
    """The places of n random 64-bit numbers in rising order, (n,) int64: of words (n, 2), the upper half first."""
    halves = words.astype(np.uint64)
    places: Array = np.argsort((halves[:, 0] << np.uint64(32)) | halves[:, 1], kind="stable")
    return places


def uniform(key: Words, n: int, dtype: np.dtype[Any], *, like: Any = None) -> Array:
    """u 2^-24 of the upper 24 bits in float32, (word + 1/2) 2^-32 in float64: (n,), exact, in [0, 1)."""
    drawn = words(key, n, like=like)
    if dtype == np.float32:
        u: Array = (drawn >> np.uint32(8)).astype(np.float32) * np.float32(2**-24)
    else:
        u = ((drawn.astype(np.float64) + 0.5) * 2.0**-32).astype(dtype)
    return u


def bernoulli(key: Words, p: Any, n: int, dtype: np.dtype[Any], *, like: Any = None) -> Array:
    """1 where u < p, else 0: (n,), with u in float32; p a number or (n,)."""
    happens: Array = uniform(key, n, np.dtype(np.float32), like=like) < p
    return happens.astype(dtype, copy=False)


def integers(key: Words, high: int, n: int, *, start: int = 0, like: Any = None) -> Array:
    """start + floor(word high / 2^32), (n,) int64."""
    product = words(key, n, like=like).astype(np.uint64) * np.uint64(high)
    drawn: Array = (product >> np.uint64(32)).astype(np.int64) + start
    return drawn


def normal(key: Words, n: int, dtype: np.dtype[Any], *, like: Any = None) -> Array:
    """(n,) standard normal numbers; u is moved into (0, 1], where its logarithm is finite."""
    drawn = words(key, n + n % 2, like=like)
    u, v = drawn[0::2], drawn[1::2]  # (ceil(n / 2),) each
    if dtype == np.float32:
        u = ((u >> np.uint32(8)).astype(np.float32) + np.float32(1)) * np.float32(2**-24)
        v = (v >> np.uint32(8)).astype(np.float32) * np.float32(2**-24)
    else:
        u = (u.astype(np.float64) + 1.0) * 2.0**-32
        v = v.astype(np.float64) * 2.0**-32
    radius, angle = np.sqrt(-2 * np.log(u)), 2 * math.pi * v
    z: Array = array_module(u).stack((radius * np.cos(angle), radius * np.sin(angle)), 1).reshape(-1)[:n]
    return z.astype(dtype, copy=False)
