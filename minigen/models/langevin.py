"""Langevin dynamics: samples of p(x) = e^-E(x) / Z from nothing but the slope of E.

    x <- x - step dE/dx + noise eps,    eps ~ N(0, 1)

With noise = sqrt(2 step) this is the Euler scheme of dx = -dE dt + sqrt(2) dB, whose distribution settles in e^-E / Z, up to an
error of the order of the step. With less noise it settles in e^(-E/T) / Z_T at the temperature T = noise^2 / (2 step), where
samples are sharper and chains get stuck; images are drawn so (Du and Mordatch 2019; Nijkamp et al. 2019). Z never appears.

The slope comes from the layers' backward pass: dF = 1 in every row, no gradients for parameters.

N chains, "..." the axes of a state.
"""

from __future__ import annotations

import math

import numpy as np

from ..backend import Array
from ..kernels.langevin import move
from ..layers.layer import Layer
from ..random import Key


def slope(energy: Layer, x: Array) -> Array:
    """dE/dx (N, ...): row n of E depends on row n of x alone, so that a cotangent of ones gives every row its own slope."""
    E, cache = energy.forward(x)  # (N,) or (N, 1)
    dx: Array = energy.backward(np.ones_like(E), cache, param_grads=False)
    return dx


def langevin(
    energy: Layer,
    x: Array,
    key: Key,
    *,
    steps: int,
    step: float,
    noise: float | None = None,
    clip: float = math.inf,
    bound: float = math.inf,
) -> Array:
    """x (N, ...) after so many steps of the chain.

    noise=None is sqrt(2 step), temperature 1. `clip` bounds every number of the slope, `bound` those of x.
    """
    noise = math.sqrt(2 * step) if noise is None else noise
    for i in range(steps):
        eps = key.at(i).normal(x.shape, like=x)
        x = move(x, slope(energy, x), eps, step=step, noise=noise, clip=clip, bound=bound)
    return x
