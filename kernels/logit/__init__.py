"""The logit of numbers between 0 and 1 with its log-determinant, of pixels too, its inverse and the way back: a pass each."""

from __future__ import annotations

from minigen.backend import Array

from .. import arguments
from ..dispatch import Ladder

LADDER = Ladder(__name__, numba="one_pass", numba_from=1 << 9)  # work: elements


def forward(x: Array, alpha: float) -> tuple[Array, Array]:
    """-> z = log p - log q like x (N, ...), and logdet (N,) = sum (log k - log p - log q).

    p = alpha + k x, q = alpha + k (1 - x), k = 1 - 2 alpha. x in [0, 1], and within it where alpha is 0.
    Like those below, it raises ValueError where alpha is not in [0, 1/2), TypeError on integers and mixed precisions.
    """
    _check("logit.forward", alpha, x=x)
    made: tuple[Array, Array] = LADDER.choose(x.size, x).forward(x, alpha)
    return made


def of_pixels(x: Array, u: Array, alpha: float) -> tuple[Array, Array]:
    """`forward` of (pixel + u) / 256, where x = pixel / 255 and u is uniform on [0, 1); of one shape, (N, ...).

    Raises ValueError on shapes that differ.
    """
    arguments.check_equal_shapes("logit.of_pixels", x=x, u=u)
    _check("logit.of_pixels", alpha, x=x, u=u)
    made: tuple[Array, Array] = LADDER.choose(x.size, x, u).of_pixels(x, u, alpha)
    return made


def inverse(z: Array, alpha: float) -> tuple[Array, Array]:
    """-> x = (s(z) - alpha) / k like z, s the sigmoid, and logdet (N,) = sum (log s(z) + log s(-z) - log k)."""
    _check("logit.inverse", alpha, z=z)
    made: tuple[Array, Array] = LADDER.choose(z.size, z).inverse(z, alpha)
    return made


def gradient(dz: Array, dlogdet: Array, x: Array, alpha: float) -> Array:
    """-> dx = v (dz + dlogdet (p - q)), v = k / (p q), of dz like x (N, ...) and dlogdet (N,).

    Raises ValueError on shapes that do not fit.
    """
    arguments.check_equal_shapes("logit.gradient", dz=dz, x=x)
    if dlogdet.shape != x.shape[:1]:
        raise ValueError(f"logit.gradient: dlogdet {dlogdet.shape} must have a number for each row of x {x.shape}")
    _check("logit.gradient", alpha, dz=dz, dlogdet=dlogdet, x=x)
    dx: Array = LADDER.choose(x.size, dz, dlogdet, x).gradient(dz, dlogdet, x, alpha)
    return dx


def _check(operation: str, alpha: float, **arrays: Array) -> None:
    if not 0 <= alpha < 0.5:
        raise ValueError(f"{operation}: alpha is {alpha}, and must lie in [0, 0.5)")
    for name, x in arrays.items():
        if not x.ndim:
            raise ValueError(f"{operation}: {name} has no axes, and must be (N, ...)")
    arguments.same_kind(operation, **arrays)
