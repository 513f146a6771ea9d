"""Layer normalisation: rows standardised, scaled and shifted, and the way back to x; one pass over memory each way."""

from __future__ import annotations

from minigen.backend import Array

from .. import arguments
from ..dispatch import Ladder

LADDER = Ladder(__name__, numba="one_pass", numba_from=1 << 9)  # work: elements


def forward(x: Array, gain: Array, b: Array, *, eps: float) -> tuple[Array, Array, Array]:
    """-> xhat = (x - mean) r and y = gain xhat + b (..., C), and r = 1 / sqrt(var + eps) (..., 1), of x (..., C), gain, b (C,).

    Mean and (biased) variance are over the last axis. Raises ValueError on shapes that do not fit, TypeError on mixed
    precisions.
    """
    _check("layer_norm.forward", x, gain=gain, b=b)
    arguments.same_kind("layer_norm.forward", x=x, gain=gain, b=b)
    made: tuple[Array, Array, Array] = LADDER.choose(x.size, x, gain, b).forward(x, gain, b, eps=eps)
    return made


def gradient(dy: Array, xhat: Array, gain: Array, r: Array) -> Array:
    """-> dx (..., C) = r (g - mean(g) - xhat mean(g xhat)), g = gain dy, with dy and xhat (..., C), r (..., 1).

    It raises as above.
    """
    arguments.check_equal_shapes("layer_norm.gradient", dy=dy, xhat=xhat)
    _check("layer_norm.gradient", dy, gain=gain)
    if r.shape != (*dy.shape[:-1], 1):
        raise ValueError(
            f"layer_norm.gradient: r {r.shape} must be {(*dy.shape[:-1], 1)}, a number for each row of dy {dy.shape}"
        )
    arguments.same_kind("layer_norm.gradient", dy=dy, xhat=xhat, gain=gain, r=r)
    dx: Array = LADDER.choose(dy.size, dy, xhat, gain, r).gradient(dy, xhat, gain, r)
    return dx


def _check(name: str, values: Array, **of_channels: Array) -> None:
    for label, array in of_channels.items():
        if array.shape != values.shape[-1:]:
            raise ValueError(
                f"{name}: {label} {array.shape} must be {values.shape[-1:]}, a number for each channel of {values.shape}"
            )
