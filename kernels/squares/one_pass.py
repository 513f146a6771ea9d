"""The mean squared error in one pass. The formulas are in `definition.py`.

Against the definition: there a difference, a square, a sum and a product are passes over memory, two of them into arrays that
are thrown away; here y and the target are read once for the value and the gradient.

Sums are taken in float64, of each chunk of CHUNK elements into a place of its own: a result does not depend on the number of
threads.

Error: of the gradient 2 u relative to the rounded y - target, of a term of the sum nothing beside it, u = 2^-24.

Legend: n numbers, flat.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from minigen.backend import Array, empty, empty_like

from ..combine import contiguous
from ..jit import CompiledTwice

CHUNK = 4096


def loss(y: Array, target: Array, *, scale: float = 1.0) -> tuple[Any, Array]:
    """-> (value, dy)."""
    dy, sums = empty_like(y), empty(-(-y.size // CHUNK), np.float64)
    flat = contiguous(y).reshape(-1), contiguous(target).reshape(-1), dy.reshape(-1)
    sweep.of(y.size)(*flat, sums, y.dtype.type(scale * 2 / y.size))
    return float(np.sum(sums)) / y.size, dy


@CompiledTwice
def sweep(y: Array, target: Array, dy: Array, sums: Array, share: Any) -> None:
    """Fills dy (n,), share times the error, and sums (ceil(n / CHUNK),) with those of its squares."""
    n = y.shape[0]
    for chunk in prange(sums.shape[0]):
        begin, end = chunk * CHUNK, min(n, (chunk + 1) * CHUNK)
        # From 0 on: a position that cannot be negative needs no test.
        ys, ts, dys = y[begin:end], target[begin:end], dy[begin:end]
        total = 0.0
        for i in range(ys.shape[0]):
            error = ys[i] - ts[i]
            total += np.float64(error) * np.float64(error)
            dys[i] = share * error
        sums[chunk] = total
