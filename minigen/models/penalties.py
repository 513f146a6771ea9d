"""Penalties on how steep a network is at its input: R1, and the gradient penalty of the Wasserstein GAN.

A discriminator D puts out a number for every row. Its slope at row n, and what is paid for it:

    g = d sum_m D(x)_m / dx = J' 1        (N, ...), J the Jacobian of D
    P = rule(g)

    r1                  gamma / 2  mean_n |g_n|^2                Mescheder et al. 2018, eq. 9: at real rows
    gradient_penalty    weight mean_n (|g_n| - 1)^2              Gulrajani et al. 2017, eq. 3: between real rows and fakes

P depends on D's parameters through a gradient, so its own gradient is of second order. With u = dP/dg held fixed,

    dP/dtheta = d/dtheta <u, J' 1> = d/dtheta <1, J u>

J u is how the outputs move when x moves along u, a `jvp`; and the parameter gradient of <1, J u> is how the gradient of sum D
moves meanwhile, which is what `backward_jvp` adds with dy = 1, dy_dot = 0. Its dx_dot is dP/dx. That is all: no layer knows of
penalties, and every layer can be penalised. Where rows depend on each other, as in batch normalisation, g_n holds what row n
does to all outputs. Derived in lessons/08_second_order.py.

|g| is the norm over all axes but the first. It has no derivative at g = 0; there we take 0, one of its subgradients: a network
that is flat pays `weight`, is not pushed by the penalty, and nothing is divided by zero.

N rows; "..." the axes of an image or a point.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..backend import Array
from ..kernels import slopes
from ..layers.layer import Cache, Layer
from ..layers.tree import Tree, moving


@dataclass(frozen=True)
class Penalty:
    """`weight` times a rule on slopes, by the name of its term; called with g (N, ...), it returns P and `scale` dP/dg."""

    name: str
    weight: float
    rule: str  # one of kernels.slopes.RULES: the mean of f(|g_n|) over the rows

    def __call__(self, g: Array, *, scale: float = 1.0) -> tuple[Any, Array]:
        return slopes.paid(self.rule, g, weight=self.weight, scale=scale)

    def of(
        self, D: Layer, logits: Array, cache: Cache, *, backward: bool = True, scale: float = 1.0, need_dx: bool = False
    ) -> tuple[Any, Tree]:
        """P at the rows of a forward of D, and with need_dx its gradient there; grads += dP/dtheta times `scale`.

        Of an input that is a tuple, such as images and labels, the first part is what D must not be steep in.
        """
        one = np.ones_like(logits)  # (N, 1)
        slope = D.backward(one, cache, param_grads=False)
        g, *others = slope if isinstance(slope, tuple) else (slope,)
        value, u = self(g, scale=scale)  # u (N, ...)
        if not backward:
            return value, None
        x_dot = (u, *(0 * other if other is not None else None for other in others)) if others else u
        _, tangents = D.jvp(x_dot, cache)
        _, dx = D.backward_jvp(one, D.told(one, None), cache, tangents, need_dx=need_dx)
        return value, moving(slope, dx) if need_dx else None  # a network of straight pieces answers None: it does not bend


def r1(gamma: float) -> Penalty | None:
    """gamma / 2 mean |g_n|^2; None for gamma = 0. Raises ValueError where gamma is negative or not finite."""
    return Penalty("r1", _checked("r1", gamma), "half_square") if gamma else None


def gradient_penalty(weight: float) -> Penalty:
    """weight mean (|g_n| - 1)^2. Raises ValueError where the weight is not a positive number."""
    if not weight:
        raise ValueError("penalty=0 leaves the critic without a bound on its slope: give a positive weight, such as 10")
    return Penalty("penalty", _checked("penalty", weight), "squared_excess")


def _checked(name: str, weight: float) -> float:
    if not 0 < weight < float("inf"):
        raise ValueError(f"{name}={weight:g} is no weight of a penalty: give a positive number")
    return weight
