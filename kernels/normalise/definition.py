"""The passes of a normalisation, plainly. What they compute is in the functions' first lines; f is in activation/definition.py.

Legend: B batches, R rows, C channels, G groups of K = C / G. x, y, xhat, dy, dx (B, R, C); mean, var, r, level, tilt (B, C);
gain, b (C,).
"""

from __future__ import annotations

import numpy as np

from minigen.backend import Array

from ..activation import definition as activation


def statistics(x: Array, *, eps: float, groups: int | None = None) -> tuple[Array, Array, Array]:
    """mean, var = mean of (x - mean)^2, and r. A square, not `var` or `abs`, and so analytic in complex x too."""
    mean = over_group(x.mean(1), groups)  # (B, C)
    off = x - mean[:, None]
    var = over_group((off * off).mean(1), groups)
    return mean, var, (var + eps) ** -0.5


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
    r: Array,
    level: Array,
    tilt: Array,
    *,
    groups: int | None = None,
    moving: bool = True,
    kind: str = "leaky",
    leak: float = 1.0,
) -> Array:
    """r (gain du - m(gain level) - xhat m(gain tilt)), or r gain du."""
    dx = before(dy, xhat, gain, b, kind, leak) * (gain * r)[:, None]
    if moving:
        down, across = (r * over_group(gain * total, groups) / dy.shape[1] for total in (level, tilt))  # (B, C) each
        dx = dx - down[:, None] - xhat * across[:, None]
    return dx


def forward(
    x: Array, gain: Array, b: Array, *, eps: float, groups: int | None = None, kind: str = "leaky", leak: float = 1.0
) -> tuple[Array, Array, Array]:
    """xhat, y and r: statistics and scaling."""
    mean, _, r = statistics(x, eps=eps, groups=groups)
    return *scale(x, mean, r, gain, b, kind=kind, leak=leak), r


def backward(
    dy: Array,
    xhat: Array,
    gain: Array,
    b: Array,
    r: Array,
    *,
    groups: int | None = None,
    kind: str = "leaky",
    leak: float = 1.0,
) -> tuple[Array, Array, Array]:
    """dx, level and tilt: sums and gradient."""
    level, tilt = sums(dy, xhat, gain, b, kind=kind, leak=leak)
    return gradient(dy, xhat, gain, b, r, level, tilt, groups=groups, kind=kind, leak=leak), level, tilt


def over_group(u: Array, groups: int | None) -> Array:
    """The mean over the channels of a group, beside each of them: (B, C) -> (B, C)."""
    B, C = u.shape
    if groups is None or groups == C:
        return u
    means = u.reshape(B, groups, -1).mean(2)  # (B, G)
    return np.repeat(means, C // groups, 1)


def before(dy: Array, xhat: Array, gain: Array, b: Array, kind: str, leak: float) -> Array:
    """du = dy f'(gain xhat + b): the gradient before the activation."""
    return dy if is_identity(kind, leak) else activation.gradient(kind, dy, xhat * gain + b, leak=leak)


def is_identity(kind: str, leak: float) -> bool:
    """Whether the activation changes nothing."""
    return kind == "leaky" and leak == 1.0
