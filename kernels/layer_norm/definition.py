"""Layer normalisation, plainly.

    mean, var over the last axis     r = 1 / sqrt(var + eps)     xhat = (x - mean) r     y = gain xhat + b

    dx = r (g - mean(g) - xhat mean(g xhat)),   g = gain dy          derived in minigen/layers/standardise.py

The variance is the biased one, a mean of squares: no `var` or `abs`, and so it is analytic in complex x too.

Legend: C channels, "..." the places. x, xhat, y, dy, dx (..., C), r (..., 1), gain, b (C,).
"""

from __future__ import annotations

from minigen.backend import Array


def forward(x: Array, gain: Array, b: Array, *, eps: float) -> tuple[Array, Array, Array]:
    """xhat, y and r."""
    xhat = x - x.mean(-1, keepdims=True)
    r = ((xhat * xhat).mean(-1, keepdims=True) + eps) ** -0.5
    xhat *= r
    y = xhat * gain
    y = y + b
    return xhat, y, r


def gradient(dy: Array, xhat: Array, gain: Array, r: Array) -> Array:
    """dx."""
    g = gain * dy
    dx: Array = r * (g - g.mean(-1, keepdims=True) - xhat * (g * xhat).mean(-1, keepdims=True))
    return dx
