"""Standardising, the core of every normalisation layer: mean 0 and variance 1 over some axes, with its derivatives.

    m = mean(x)    r = 1 / sqrt(mean((x - m)^2) + eps)    xhat = (x - m) r

As x moves along x_dot, d/dt mean((x - m)^2) = 2 mean(xhat x_dot) / r, for x_dot's own mean drops out. Therefore

    r_dot    = -r^2 mean(xhat x_dot)
    xhat_dot = r (x_dot - m_dot) + xhat r_dot / r = r (x_dot - mean(x_dot) - xhat mean(xhat x_dot)) =: J x_dot

J is symmetric, so backward is the same line: dx = J dxhat. It takes from a gradient what would move the mean or the variance,
and is exact with eps. Batch norm takes its means over images and pixels, layer norm over channels; all keep their axes as 1.
"""

from __future__ import annotations

from typing import NamedTuple

from ..backend import Array, Shape


class Standardised(NamedTuple):
    xhat: Array  # like x
    r: Array  # x's shape with 1 at the axes of the means


def standardise(x: Array, axes: Shape, eps: float) -> tuple[Standardised, Array, Array]:
    """xhat and r, the mean and the (biased) variance. A square, not `var` or `abs`: then it is analytic in complex x too."""
    mean = x.mean(axes, keepdims=True)
    xhat = x - mean
    var = (xhat * xhat).mean(axes, keepdims=True)
    r = (var + eps) ** -0.5
    xhat *= r
    return Standardised(xhat, r), mean, var


def project(u: Array, s: Standardised, axes: Shape) -> Array:
    """J u = r (u - mean(u) - xhat mean(u xhat)): xhat_dot of x_dot, and dx of dxhat."""
    return s.r * (u - u.mean(axes, keepdims=True) - s.xhat * (u * s.xhat).mean(axes, keepdims=True))


def standardise_dot(x_dot: Array, s: Standardised, axes: Shape) -> Standardised:
    """xhat_dot and r_dot."""
    return Standardised(project(x_dot, s, axes), -s.r * s.r * (s.xhat * x_dot).mean(axes, keepdims=True))


def project_dot(u: Array, u_dot: Array, s: Standardised, s_dot: Standardised, axes: Shape) -> tuple[Array, Array]:
    """J u and d/dt (J u), the product rule on its three factors: r, u, and xhat twice."""
    Ju = project(u, s, axes)
    moved = s_dot.xhat * (u * s.xhat).mean(axes, keepdims=True) + s.xhat * (u * s_dot.xhat).mean(axes, keepdims=True)
    return Ju, Ju * (s_dot.r / s.r) + project(u_dot, s, axes) - s.r * moved
