"""Philox-4x32-10 (Salmon, Moraes, Dror and Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3"), plainly.

A small block cipher: ten rounds turn a counter of four 32-bit words, under a key of two, into four random words. Each round
multiplies two of the words to 64 bits and crosses the halves over:

    (c0, c1, c2, c3)  ->  (hi(M1 c2) ^ c1 ^ k0,  lo(M1 c2),  hi(M0 c0) ^ c3 ^ k1,  lo(M0 c0))

A draw of n words is the cipher at the counters 0, 1, 2, ...: word i is word i % 4 of block i // 4. Any block can be computed
without the others, by any thread of any device, and always gives the same bits.

Legend: n words drawn, B blocks of four words.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigen.backend import Array, array_module

MULTIPLIERS = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
WEYL = 0x9E3779B9, 0xBB67AE85  # the golden ratio and sqrt(3) - 1, as 32-bit fractions: added to the key every round
_LOW = np.uint64(0xFFFFFFFF)
_32 = np.uint64(32)


def philox(counter: tuple[Any, Any, Any, Any], key: tuple[int, int]) -> tuple[Any, Any, Any, Any]:
    """Four words of counter and two of key -> four random words, each a uint64 below 2^32.

    The words of `counter` are uint64 below 2^32; they may be arrays (B,), and the result then has their shape.
    """
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        p0, p1 = MULTIPLIERS[0] * c0, MULTIPLIERS[1] * c2
        c0, c1, c2, c3 = (p1 >> _32) ^ c1 ^ np.uint64(k0), p1 & _LOW, (p0 >> _32) ^ c3 ^ np.uint64(k1), p0 & _LOW
        k0, k1 = (k0 + WEYL[0]) & 0xFFFFFFFF, (k1 + WEYL[1]) & 0xFFFFFFFF
    return c0, c1, c2, c3


def words(words: tuple[int, int, int, int], n: int, *, like: Any = None) -> Array:
    """The first `n` words of the draw of the key (k0, k1, c2, c3): (n,) uint32."""
    xp = np if like is None else array_module(like)
    k0, k1, c2, c3 = words
    block = xp.arange((n + 3) // 4, dtype=np.uint64)  # (B,)
    counter = block & _LOW, block >> _32, xp.full_like(block, c2), xp.full_like(block, c3)
    drawn: Array = xp.stack(philox(counter, (k0, k1)), 1).reshape(-1)[:n].astype(np.uint32)
    return drawn
