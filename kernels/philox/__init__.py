"""Random words: the counter-based generator behind `minigen.random`, which explains what it is for."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigen.backend import Array, array_module

from ..dispatch import Ladder

LADDER = Ladder(__name__, numba="one_pass", numba_from=1 << 14)  # work: words


def words(words: tuple[int, int, int, int], n: int, *, like: Any = None) -> Array:
    """The first `n` words of the draw of a key, (n,) uint32, on the device of `like`.

    `words` are the key's four: two for the cipher's key and two for the upper half of its counter. Every rung gives the same
    bits.
    """
    if n < 0:
        raise ValueError(f"philox: {n} words cannot be drawn")
    on_cpu = like is None or array_module(like) is np
    rung = LADDER.choose_bits(n) if on_cpu else LADDER.load("definition")
    drawn: Array = rung.words(words, n, like=like)
    return drawn
