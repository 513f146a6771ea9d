"""Windows cut out of images, plainly.

    y[n, i, j] = x[n, i + t_n, j + l_n], and 0 outside x            t = sign top, l = sign left

Legend: N images, H, W size, C channels, h, w size of a window. x (N, H, W, C), y (N, h, w, C), top, left (N,) int64.
"""

from __future__ import annotations

import numpy as np

from minigen.backend import Array, array_module


def cut(x: Array, top: Array, left: Array, h: int, w: int, *, sign: int = 1) -> Array:
    """-> y (N, h, w, C)."""
    xp = array_module(x)
    N, H, W, _ = x.shape
    row, column = xp.arange(h) + sign * top[:, None], xp.arange(w) + sign * left[:, None]  # (N, h), (N, w)
    inside = ((row >= 0) & (row < H))[:, :, None, None] & ((column >= 0) & (column < W))[:, None, :, None]
    n = xp.arange(N)[:, None, None]
    taken = x[n, np.clip(row, 0, H - 1)[:, :, None], np.clip(column, 0, W - 1)[:, None, :]]
    return np.where(inside, taken, taken.dtype.type(0))
