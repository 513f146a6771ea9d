"""One move of a chain by Langevin dynamics, plainly. With within(v, c) = min(max(v, -c), c),

    y = within(x - step within(slope, clip) + noise eps, bound)

Both clips branch on the real part, and a NaN stays.

Legend: x, slope, eps and y of any one shape.
"""

from __future__ import annotations

from minigen.backend import Array


def move(x: Array, slope: Array, eps: Array, *, step: float, noise: float, clip: float, bound: float) -> Array:
    """y."""
    y: Array = (x - step * slope.clip(-clip, clip) + noise * eps).clip(-bound, bound)
    return y
