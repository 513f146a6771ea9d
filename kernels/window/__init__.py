"""Windows cut out of images, each at a place of its own: an image that is shifted or cropped, and the way back."""

from __future__ import annotations

import numpy as np

from minigen.backend import Array, device_of

from .. import arguments
from ..dispatch import Ladder

LADDER = Ladder(__name__, numba="one_pass", numba_from=1 << 9)  # work: numbers of the windows


def cut(x: Array, top: Array, left: Array, h: int, w: int, *, sign: int = 1) -> Array:
    """-> y (N, h, w, C) of x (N, H, W, C): y[n, i, j] = x[n, i + sign top_n, j + sign left_n], and 0 outside x.

    top, left (N,) int64, of either sign. The transpose is the window of y with the other sign and the size of x. Exact: numbers
    are moved. Raises ValueError on shapes that do not fit and another sign than 1 and -1, TypeError on other numbers.
    """
    arguments.check_ndim("window.cut", 4, x=x)
    if top.shape != x.shape[:1] or left.shape != x.shape[:1] or sign not in (1, -1):
        raise ValueError(
            f"window.cut: top {top.shape} and left {left.shape} must be (N,) for x {x.shape}, and sign {sign} 1 or -1"
        )
    if top.dtype != np.int64 or left.dtype != np.int64:
        raise TypeError(f"window.cut: top and left are int64, got {top.dtype} and {left.dtype}: convert with astype(np.int64)")
    if not device_of(top) == device_of(left) == device_of(x):
        raise TypeError("window.cut: x, top and left must lie on one device: move with backend.to_device")
    arguments.same_kind("window.cut", x=x)
    y: Array = LADDER.choose(min(x.size, len(x) * h * w * x.shape[3]), x).cut(x, top, left, h, w, sign=sign)
    return y
