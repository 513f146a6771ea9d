"""One move of a chain in one pass. The formula is in `definition.py`.

Against the definition: each of its six steps is a pass over memory into an array of its own, on one thread; here x, the slope
and the noise are read once, and what is written is the result.

Error: u (3 |x| + 6 |step d| + 4 |noise eps|), d the clipped slope, of the rounded factors too; u = 2^-24, in float64 2^-53.

Legend: n numbers, flat. x, slope, eps, y (n,).
"""

from __future__ import annotations

from typing import Any

from numba import prange

from minigen.backend import Array, empty_like

from ..combine import contiguous
from ..jit import CompiledTwice


def move(x: Array, slope: Array, eps: Array, *, step: float, noise: float, clip: float, bound: float) -> Array:
    """y."""
    y, number = empty_like(x), x.dtype.type  # else float32 meets float64 in the loop
    flat = (contiguous(v).reshape(-1) for v in (x, slope, eps, y))
    walk.of(x.size)(*flat, number(step), number(noise), number(clip), number(bound))
    return y


@CompiledTwice
def walk(x: Array, slope: Array, eps: Array, y: Array, step: Any, noise: Any, clip: Any, bound: Any) -> None:
    """Fills y."""
    for i in prange(x.shape[0]):
        d = slope[i]
        d = -clip if d < -clip else clip if d > clip else d
        to = x[i] - step * d + noise * eps[i]
        y[i] = -bound if to < -bound else bound if to > bound else to
