"""Standardising, the core of every normalisation layer: mean 0 and variance 1 over some axes, with its derivatives.

    m = mean(x)    r = 1 / sqrt(mean((x - m)^2) + eps)    xhat = (x - m) r

As x moves along x_dot, d/dt mean((x - m)^2) = 2 mean(xhat x_dot) / r, for x_dot's own mean drops out. Therefore

    r_dot    = -r^2 mean(xhat x_dot)
    xhat_dot = r (x_dot - m_dot) + xhat r_dot / r = r (x_dot - mean(x_dot) - xhat mean(xhat x_dot)) =: J x_dot

J is symmetric, so backward is the same line: dx = J dxhat. It takes from a gradient what would move the mean or the variance,
and is exact with eps. Batch norm takes its means over images and pixels, layer norm over channels; both keep their axes as 1.
Group norm has a function of its own for them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

from ..backend import Array, Shape
from ..kernels import normalise
from .elementwise import Elementwise
from .layer import Layer

Over: TypeAlias = Shape | Callable[[Array], Array]  # the axes of the means, or u -> its means, in a shape that meets every u


def after(layer: Layer, activation: Elementwise | None) -> dict[str, Any]:
    """The activation after a normalisation, as kernels.normalise takes it. ValueError on one that is not in its passes."""
    if activation is None:
        return {"kind": "leaky", "leak": 1.0}
    if activation.kind not in normalise.KINDS:
        raise ValueError(
            f"{type(layer).__name__}: activation={type(activation).__name__} is not made in a normalisation's passes, which "
            "know ReLU, LeakyReLU and SiLU: make it a layer of its own, after this one"
        )
    return {"kind": activation.kind, "leak": activation.leak}


class Standardised(NamedTuple):
    xhat: Array  # like x
    r: Array  # like a mean


def mean(u: Array, over: Over) -> Array:
    """The means of u, beside it: with 1 at the axes that they are over."""
    found: Array = over(u) if callable(over) else u.mean(over, keepdims=True)
    return found


def project(u: Array, s: Standardised, over: Over) -> Array:
    """J u = r (u - mean(u) - xhat mean(u xhat)): xhat_dot of x_dot, and dx of dxhat."""
    return s.r * (u - mean(u, over) - s.xhat * mean(u * s.xhat, over))


def standardise_dot(x_dot: Array, s: Standardised, over: Over) -> Standardised:
    """xhat_dot and r_dot."""
    return Standardised(project(x_dot, s, over), -s.r * s.r * mean(s.xhat * x_dot, over))


def project_dot(u: Array, u_dot: Array, s: Standardised, s_dot: Standardised, over: Over) -> tuple[Array, Array]:
    """J u and d/dt (J u), the product rule on its three factors: r, u, and xhat twice."""
    Ju = project(u, s, over)
    moved = s_dot.xhat * mean(u * s.xhat, over) + s.xhat * mean(u * s_dot.xhat, over)
    return Ju, Ju * (s_dot.r / s.r) + project(u_dot, s, over) - s.r * moved
