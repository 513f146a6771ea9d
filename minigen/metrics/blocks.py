"""A function of many rows, some rows at a time: what does not fit into memory at once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..backend import Array, to_device

BLOCK = 500


def in_blocks(function: Callable[[Array], Array], rows: Array, block: int = BLOCK) -> Array:
    """function(rows) for a function that treats each row by itself, `block` rows at a time: on the CPU, in order.

    Raises ValueError on no rows, or a block below 1.
    """
    if not len(rows) or block < 1:
        raise ValueError(f"in_blocks needs rows and a block of at least one, got {len(rows)} rows in blocks of {block}")
    return np.concatenate([to_device(function(rows[i : i + block]), "cpu") for i in range(0, len(rows), block)])
