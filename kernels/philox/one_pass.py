"""Philox in one pass. The cipher is in `definition.py`.

Against the definition: ten rounds of NumPy write some sixty arrays of the draw's size; here a block's four words stay in
registers from counter to result, and blocks are shared out among the threads. The bits are the same: integers do not round.

Legend: n words drawn, B blocks of four words.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from minigen.backend import Array, empty

from ..jit import compiled

# The cipher's constants, again (definition.py derives them): a kernel's file is complete in itself.
M0, M1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
W0, W1 = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)
LOW, HALF = np.uint64(0xFFFFFFFF), np.uint64(32)


def words(words: tuple[int, int, int, int], n: int, *, like: Any = None) -> Array:
    """The first `n` words of the draw of the key (k0, k1, c2, c3): (n,) uint32."""
    drawn = empty(4 * ((n + 3) // 4), np.uint32, like=like)
    encrypt(drawn, *(np.uint64(word) for word in words))
    return drawn[:n]


@compiled
def encrypt(drawn: Array, k0: Any, k1: Any, c2: Any, c3: Any) -> None:
    """Fills drawn (4 B,)."""
    for block in prange(drawn.shape[0] // 4):
        number = np.uint64(block)
        a, b, c, d = number & LOW, number >> HALF, c2, c3
        x, y = k0, k1
        for _ in range(10):
            p, q = M0 * a, M1 * c
            a, b, c, d = (q >> HALF) ^ b ^ x, q & LOW, (p >> HALF) ^ d ^ y, p & LOW
            x, y = (x + W0) & LOW, (y + W1) & LOW
        drawn[4 * block] = a
        drawn[4 * block + 1] = b
        drawn[4 * block + 2] = c
        drawn[4 * block + 3] = d
