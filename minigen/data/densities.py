"""Densities in the plane with known entropy: what is learned of them can be measured against the truth.

A model's mean negative log-likelihood cannot be below the entropy: the figure is its *excess nats*. All densities here can be
evaluated, in nats, and their entropies are in closed form, or numerical with every digit shown certain.

    ring = density("ring8")
    x = ring.sample(10_000, Key(0))                    # (10000, 2)
    -ring.log_density(x).mean() - ring.entropy         # about 0
    load("ring8")                                      # the same points as a data set, drawn anew each epoch

Legend: n points, M modes, (n, 2) points; sums of exponentials are taken at the largest, so that nothing underflows.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from ..backend import Array
from ..random import Key
from .dataset import DataError


class Modes(NamedTuple):
    """The equal round Gaussians of a mixture."""

    means: Array  # (M, 2) float64
    sigma: float


class Density:
    """A density in the plane. float64 on the CPU; points of any float type come in."""

    name: str
    about: str
    entropy: float  # nats
    extent: float  # all but 1e-6 of the mass lies in [-extent, extent]^2: for grids and pictures
    modes: Modes | None = None

    def sample(self, n: int, key: Key) -> Array:
        """(n, 2) independent points."""
        raise NotImplementedError

    def log_density(self, x: Array) -> Array:
        """(n, 2) -> (n,): log p(x) in nats, -inf where p is 0."""
        raise NotImplementedError


class Mixture(Density):
    """M equal Gaussians: p(x) = 1/M sum_m N(x; mean_m, sigma^2 I).

    Where they are far apart, the entropy is that of the choice and that of one Gaussian: log M + 1 + log(2 pi sigma^2). In
    "ring8" and "grid25" neighbours are at least 40 sigma apart, and the error is below e^-190. In "gaussians8" it is 6.8 sigma,
    the closed form is 0.0019 nats too high, and `entropy` is given, from quadrature.
    """

    def __init__(self, name: str, about: str, means: Array, sigma: float, entropy: float | None = None) -> None:
        self.name, self.about, self.modes = name, about, Modes(means, sigma)
        apart = math.log(len(means)) + 1 + math.log(2 * math.pi * sigma**2)
        self.entropy = apart if entropy is None else entropy
        self.extent = float(np.abs(means).max()) + 6 * sigma

    def sample(self, n: int, key: Key) -> Array:
        assert self.modes is not None
        means, sigma = self.modes
        m = key.at("mode").integers(len(means), n)  # (n,)
        return means[m] + sigma * key.at("noise").normal((n, 2), np.float64)

    def log_density(self, x: Array) -> Array:
        assert self.modes is not None
        means, sigma = self.modes
        squares = ((x[:, None, :] - means) ** 2).sum(2)  # (n, M)
        return log_sum_exp(-squares / (2 * sigma**2)) - math.log(len(means) * 2 * math.pi * sigma**2)


class Checkerboard(Density):
    """Uniform on the 8 black squares, of side 2, of the board [-4, 4]^2 (FFJORD's; Grathwohl et al. 2019): p = 1/32 on them.

    The square (i, j), both in -2 .. 1, holds 2 i <= x_0 < 2 (i + 1) and 2 j <= x_1 < 2 (j + 1); black where i + j is even.
    """

    name, about = "checkerboard", "uniform on the black squares of a board of 4 x 4"
    entropy, extent = math.log(32), 4.0

    def sample(self, n: int, key: Key) -> Array:
        # Within the square, in steps of 2^-20: then no point is rounded onto a border where it becomes a float32.
        u = (key.at("place").integers(1 << 20, (n, 2)) + 0.5) / (1 << 20)
        i, half = (key.at(name).integers(high, n) for name, high in (("column", 4), ("row", 2)))
        j = 2 * half + i % 2  # the two black squares of column i
        return 2 * (np.stack((i, j), 1) - 2 + u)

    def log_density(self, x: Array) -> Array:
        i, j = np.floor(np.asarray(x, np.float64) / 2).T
        inside = (i >= -2) & (i < 2) & (j >= -2) & (j < 2) & ((i + j) % 2 == 0)
        return np.where(inside, -math.log(32), -math.inf)


class Pinwheel(Density):
    """Five Gaussian blades, stretched outwards and twisted by an angle that grows with the radius.

        f ~ N((2, 0), diag(0.6^2, 0.2^2)),   x = R(2 pi k / 5 + twist(|f|)) f,   k uniform on 0 .. 4,   twist(r) = e^(r / 2) / 4

    In the usual pinwheel (Johnson et al. 2016) the twist grows with f_0, and no density can be written down. Here it grows with
    the radius, which a rotation keeps. So the blade is found by turning back, and areas stay: in polar coordinates the map is a
    shear, of determinant 1. The density of x is that of f, and the entropy that of the five blades before they are twisted.
    """

    name, about = "pinwheel", "five twisted blades"
    entropy, extent = 2.3205884851, 5.2
    blades, centre, spread, rate = 5, (2.0, 0.0), (0.6, 0.2), 0.25

    def sample(self, n: int, key: Key) -> Array:
        f = self.centre + np.array(self.spread) * key.at("noise").normal((n, 2), np.float64)
        k = key.at("blade").integers(self.blades, n)
        return rotated(f, 2 * math.pi * k / self.blades + self.twist(f))

    def log_density(self, x: Array) -> Array:
        straight = rotated(np.asarray(x, np.float64), -self.twist(x))
        return self.untwisted(straight)

    def untwisted(self, x: Array) -> Array:
        """(n, 2) -> (n,): the log-density of the blades before they are twisted."""
        turns = 2 * math.pi * np.arange(self.blades) / self.blades
        f = np.stack([rotated(x, -turn) for turn in turns], 1)  # (n, blades, 2)
        squares = (((f - self.centre) / self.spread) ** 2).sum(2)  # (n, blades)
        return log_sum_exp(-squares / 2) - math.log(self.blades * 2 * math.pi * math.prod(self.spread))

    def twist(self, x: Array) -> Array:
        """(n, 2) -> (n,): the angle at the radius of x."""
        angle: Array = self.rate * np.exp(np.sqrt((x**2).sum(1)) / 2)
        return angle


class Strokes(Density):
    """A curve c(s) and its mirror image -c(s), drawn with a Gaussian brush; s lies in [0, 1] and has density w.

        p(x) = 1/2 integral of w(s) N(x; c(s), sigma^2 I) ds + 1/2 integral of w(s) N(x; -c(s), sigma^2 I) ds

    The integrals have no closed form. They are taken by Gauss and Legendre's rule, eight nodes on each of `pieces` no longer
    than 1.5 sigma: log p then has an error below 1e-11 where points fall, and of 1e-3 where p is 1e-130.
    """

    sigma: float
    pieces: int

    def place(self, u: Array) -> Array:
        """Uniform numbers to places s, of density w; w itself is `weight`."""
        return u

    def weight(self, s: Array) -> Array:
        """w(s)."""
        return np.ones_like(s)

    def curve(self, s: Array) -> Array:
        """(n,) places -> (n, 2) points."""
        raise NotImplementedError

    def sample(self, n: int, key: Key) -> Array:
        s = self.place(key.at("place").uniform(n, np.float64))
        sign = 1 - 2 * key.at("side").integers(2, n)  # (n,)
        return sign[:, None] * self.curve(s) + self.sigma * key.at("noise").normal((n, 2), np.float64)

    def log_density(self, x: Array) -> Array:
        node, share = np.polynomial.legendre.leggauss(8)  # on [-1, 1]
        s = ((np.arange(self.pieces)[:, None] + (node + 1) / 2) / self.pieces).reshape(-1)  # (Q,)
        weight = self.weight(s) * np.tile(share, self.pieces) / (2 * self.pieces)  # (Q,), of sum 1
        c = self.curve(s)
        points, log_weight = np.concatenate((c, -c)), np.log(np.tile(weight, 2) / 2)  # (2 Q, 2), (2 Q,)
        x, logs = np.asarray(x, np.float64), np.empty(len(x))
        for start in range(0, len(x), 256):  # 256 x 2 Q distances at a time
            part = slice(start, start + 256)
            squares = sum((x[part, axis, None] - points[:, axis]) ** 2 for axis in (0, 1))
            logs[part] = log_sum_exp(log_weight - squares / (2 * self.sigma**2))
        return logs - math.log(2 * math.pi * self.sigma**2)


class Moons(Strokes):
    """Two half circles of radius 2 that reach into each other: c(s) = (2 cos pi s - 1, 2 sin pi s - 1/2), sigma = 0.2."""

    name, about = "moons", "two half circles that reach into each other"
    sigma, pieces, entropy, extent = 0.2, 21, 2.3938791960, 4.0

    def curve(self, s: Array) -> Array:
        return np.stack((2 * np.cos(math.pi * s) - 1, 2 * np.sin(math.pi * s) - 0.5), 1)


class Spirals(Strokes):
    """Two arms of one and a half turns: c(s) = pi s (cos 3 pi s, sin 3 pi s), w(s) = 2 s, sigma = 0.1.

    As in FFJORD's, the place along an arm is the square root of a uniform number; its box of uniform noise is left out.
    """

    name, about = "spirals", "two arms of one and a half turns"
    sigma, pieces, entropy, extent = 0.1, 200, 2.5406178943, 3.8

    def place(self, u: Array) -> Array:
        return np.sqrt(u)

    def weight(self, s: Array) -> Array:
        return 2 * s

    def curve(self, s: Array) -> Array:
        return math.pi * s[:, None] * np.stack((np.cos(3 * math.pi * s), np.sin(3 * math.pi * s)), 1)


def log_sum_exp(a: Array) -> Array:
    """(n, M) -> (n,): log sum_m e^a, without overflow."""
    top = a.max(1)
    total: Array = top + np.log(np.exp(a - top[:, None]).sum(1))
    return total


def rotated(x: Array, angle: Array | float) -> Array:
    """(n, 2) points turned by angles (n,), anticlockwise."""
    cos, sin = np.cos(angle), np.sin(angle)
    return np.stack((cos * x[:, 0] - sin * x[:, 1], sin * x[:, 0] + cos * x[:, 1]), 1)


_angle = 2 * math.pi * np.arange(8) / 8
_ring = np.stack((np.cos(_angle), np.sin(_angle)), 1)
_grid = 2.0 * np.arange(-2, 3)

DENSITIES: dict[str, Density] = {
    d.name: d
    for d in (
        Mixture("ring8", "8 Gaussians on a circle", _ring, 0.01),
        Mixture("grid25", "25 Gaussians on a grid", np.stack(np.meshgrid(_grid, _grid), 2).reshape(25, 2), 0.05),
        # As flow matching has it (Tong et al. 2024): radius 5, variance sqrt(0.1) = 0.316.
        Mixture("gaussians8", "8 wide Gaussians on a circle of radius 5", 5 * _ring, 0.1**0.25, entropy=3.7640903051),
        Checkerboard(),
        Pinwheel(),
        Moons(),
        Spirals(),
    )
}


def density(name: str) -> Density:
    """The density called `name`; DataError with the names there are."""
    if name not in DENSITIES:
        raise DataError(f"unknown density {name!r}. There are: {', '.join(DENSITIES)}.")
    return DENSITIES[name]
