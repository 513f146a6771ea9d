"""The passes of a normalisation, plainly. What they compute is in the functions' first lines; f is in activation/definition.py.

Legend: B, C what statistics belong to, R what they are over. x, y, xhat, dy, dx (B, R, C); mean, r, straight, level, tilt
(B, C); gain, b (C,).
"""

from __future__ import annotations

from minigen.backend import Array

from ..activation import definition as activation


def moments(x: Array) -> tuple[Array, Array]:
    """The mean, and the mean of (x - mean)^2: a square, not `var` or `abs`, and so analytic in complex x too."""
    mean = x.mean(1)  # (B, C)
    off = x - mean[:, None]
    return mean, (off * off).mean(1)


def scale(
    x: Array, mean: Array, r: Array, gain: Array, b: Array, *, kind: str = "leaky", leak: float = 1.0
) -> tuple[Array, Array]:
    """xhat = (x - mean) r and y = f(gain xhat + b)."""
    xhat = x - mean[:, None]
    xhat *= r[:, None]
    u = xhat * gain
    u = u + b
    return xhat, u if is_identity(kind, leak) else activation.forward(kind, u, leak=leak)


def sums(dy: Array, xhat: Array, gain: Array, b: Array, *, kind: str = "leaky", leak: float = 1.0) -> tuple[Array, Array]:
    """sum du and sum du xhat."""
    du = before(dy, xhat, gain, b, kind, leak)
    return du.sum(1), (du * xhat).sum(1)


def gradient(
    dy: Array,
    xhat: Array,
    gain: Array,
    b: Array,
    straight: Array,
    level: Array,
    tilt: Array,
    *,
    kind: str = "leaky",
    leak: float = 1.0,
) -> Array:
    """straight du - level - tilt xhat."""
    return before(dy, xhat, gain, b, kind, leak) * straight[:, None] - level[:, None] - xhat * tilt[:, None]


def before(dy: Array, xhat: Array, gain: Array, b: Array, kind: str, leak: float) -> Array:
    """du = dy f'(gain xhat + b): the gradient before the activation."""
    return dy if is_identity(kind, leak) else activation.gradient(kind, dy, xhat * gain + b, leak=leak)


def is_identity(kind: str, leak: float) -> bool:
    """Whether the activation changes nothing."""
    return kind == "leaky" and leak == 1.0
