"""The smallest adversarial games, in two numbers, where every trajectory can be drawn (Mescheder et al. 2018, the Dirac-GAN).

The data are a single point at 0, G puts a single point at theta, and D(x) = psi x. With the sides of a `Game` of
losses.adversarial and an R1 penalty gamma/2 |dD/dx|^2 = gamma/2 psi^2 at the data:

    D pays   real(0) + fake(psi theta) + gamma/2 psi^2         G pays   generator(psi theta)

Both descend: w = (theta, psi) moves along the field v, whose Jacobian J holds the second derivatives. With l = psi theta:

    v_theta = -generator'(l) psi               J = [ -generator'' psi^2            -generator'' l - generator' ]
    v_psi   = -fake'(l) theta - gamma psi          [ -fake'' l - fake'             -fake'' theta^2 - gamma     ]

`wasserstein` makes it the bilinear game v = (psi, -theta), a rotation. The equilibrium is (0, 0): G on the data, D flat.
J's eigenvalues there, with a slope s of both sides at 0, are -gamma/2 +- sqrt(gamma^2/4 - s^2): without R1 purely imaginary.
A step of rate eta is a map w -> w'; it converges where the eigenvalues of its own Jacobian lie within the unit circle:

    simultaneous      w' = w + eta v(w)                           1 + eta lambda: outside, for any imaginary lambda
    alternating       psi first, then theta against the new psi   on the circle, in the bilinear game
    extragradient     w' = w + eta v(w + eta v(w))                1 + eta lambda + eta^2 lambda^2: inside
    unrolled          theta against psi_K(theta), D's K steps, differentiated through them (Metz et al. 2017)

"..." any number of points at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import numpy as np

from ..backend import Array
from ..losses.adversarial import Game, game

STEP = 1e-30  # of the complex step


@dataclass(frozen=True)
class Dirac:
    """The game of two numbers; `gamma` weighs R1."""

    sides: Game
    gamma: float = 0.0

    def field(self, w: Array) -> Array:
        """v (..., 2) at w = (theta, psi) (..., 2)."""
        theta, psi = w[..., 0], w[..., 1]
        l = psi * theta
        v_theta = -self.sides.generator.slope(l) * psi
        return np.stack((v_theta, -self.sides.fake.slope(l) * theta - self.gamma * psi), -1)

    def jacobian(self, w: Array) -> Array:
        """J (..., 2, 2): row i holds the derivatives of v_i."""
        theta, psi = w[..., 0], w[..., 1]
        l, G, D = psi * theta, self.sides.generator, self.sides.fake
        of_theta = np.stack((-G.curve(l) * psi**2, -G.curve(l) * l - G.slope(l)), -1)
        of_psi = np.stack((-D.curve(l) * l - D.slope(l), -D.curve(l) * theta**2 - self.gamma), -1)
        return np.stack((of_theta, of_psi), -2)


def dirac(name: str, gamma: float = 0.0) -> Dirac:
    """The Dirac-GAN of the game called `name`."""
    return Dirac(game(name), gamma)


def bilinear(gamma: float = 0.0) -> Dirac:
    """D pays psi theta, G pays -psi theta."""
    return dirac("wasserstein", gamma)


Update: TypeAlias = Callable[[Dirac, Array, float], Array]  # (game, w (..., 2), eta) -> w' (..., 2)


def simultaneous(play: Dirac, w: Array, eta: float) -> Array:
    """Both move, each against where the other was."""
    return w + eta * play.field(w)


def alternating(play: Dirac, w: Array, eta: float) -> Array:
    """D moves, then G against the D that has moved, as in `GAN.step`."""
    w = w + eta * play.field(w) * np.array((0, 1))
    return w + eta * play.field(w) * np.array((1, 0))


def extragradient(play: Dirac, w: Array, eta: float) -> Array:
    """Both look where a step would lead, and take the step that is right there (Korpelevich 1976)."""
    return w + eta * play.field(simultaneous(play, w, eta))


def unrolled(play: Dirac, w: Array, eta: float, *, steps: int = 5) -> Array:
    """D moves one step; G descends generator(psi_K theta), psi_K being psi after `steps` steps of D at the same rate.

    With s_k = dpsi_k / dtheta: s_0 = 0, s_k+1 = s_k + eta (J_psi,theta + J_psi,psi s_k), and the slope in theta is
    generator'(l_K) (psi_K + theta s_K).
    """
    theta, psi = w[..., 0], w[..., 1]
    s = np.zeros_like(psi)
    for _ in range(steps):
        at = np.stack((theta, psi), -1)
        J = play.jacobian(at)
        psi = psi + eta * play.field(at)[..., 1]
        s = s + eta * (J[..., 1, 0] + J[..., 1, 1] * s)
    slope = play.sides.generator.slope(psi * theta) * (psi + theta * s)
    return np.stack((theta - eta * slope, w[..., 1] + eta * play.field(w)[..., 1]), -1)


UPDATES: dict[str, Update] = {
    "simultaneous": simultaneous,
    "alternating": alternating,
    "extragradient": extragradient,
    "unrolled": partial(unrolled, steps=5),
}


def trajectory(play: Dirac, update: Update, start: Array, eta: float, steps: int) -> Array:
    """w_0 = start (..., 2), w_1, ..., w_steps: (steps + 1, ..., 2)."""
    path = [np.asarray(start, np.float64)]
    for _ in range(steps):
        path.append(update(play, path[-1], eta))
    return np.stack(path)


def update_jacobian(play: Dirac, update: Update, w: Array, eta: float) -> Array:
    """dw'/dw (2, 2) at w (2,), exact by the complex step. Its eigenvalues decide whether the game converges near w."""
    columns = [update(play, w + 1j * STEP * direction, eta).imag / STEP for direction in np.eye(2)]
    return np.stack(columns, 1)
