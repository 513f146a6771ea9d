"""A gain and a bias for every channel, z = x e^s + b, its inverse, and the way back with the sums for both: one pass each.

Rows lie as (N, P, C), P positions of each; their log-determinant is one number, P sum s, which stands N times.
"""

from __future__ import annotations

from minigen.backend import Array

from .. import arguments
from ..dispatch import Ladder

LADDER = Ladder(__name__, numba="one_pass", numba_from=1 << 9)  # work: elements


def forward(x: Array, s: Array, b: Array) -> tuple[Array, Array]:
    """-> z = x e^s + b like x (N, P, C), and logdet (N,) = P sum s, of s and b (C,).

    Like those below, it raises ValueError on shapes that do not fit, TypeError on mixed precisions.
    """
    _check("act_norm.forward", x, s=s, b=b)
    made: tuple[Array, Array] = LADDER.choose(x.size, x, s, b).forward(x, s, b)
    return made


def inverse(z: Array, s: Array, b: Array) -> tuple[Array, Array]:
    """-> x = (z - b) e^-s, and logdet (N,) = -P sum s."""
    _check("act_norm.inverse", z, s=s, b=b)
    made: tuple[Array, Array] = LADDER.choose(z.size, z, s, b).inverse(z, s, b)
    return made


def gradient(dz: Array, dlogdet: Array, x: Array, s: Array, *, sums: bool = True) -> tuple[Array, Array | None, Array | None]:
    """-> dx = dz e^s and, with `sums`, ds = sum dx x + P sum dlogdet and db = sum dz, (C,) each; dz like x, dlogdet (N,)."""
    arguments.check_equal_shapes("act_norm.gradient", dz=dz, x=x)
    _check("act_norm.gradient", x, s=s)
    if dlogdet.shape != x.shape[:1]:
        raise ValueError(f"act_norm.gradient: dlogdet {dlogdet.shape} must have a number for each row of x {x.shape}")
    arguments.same_kind("act_norm.gradient", dz=dz, dlogdet=dlogdet, x=x, s=s)
    rung = LADDER.choose(x.size, dz, dlogdet, x, s)
    made: tuple[Array, Array | None, Array | None] = rung.gradient(dz, dlogdet, x, s, sums=sums)
    return made


def _check(operation: str, x: Array, **of_channels: Array) -> None:
    arguments.check_ndim(operation, 3, x=x)
    for name, value in of_channels.items():
        if value.shape != x.shape[2:]:
            raise ValueError(f"{operation}: {name} {value.shape} does not fit the channels of {x.shape}")
    arguments.same_kind(operation, x=x, **of_channels)
