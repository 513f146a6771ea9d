"""The passes over memory that a normalisation makes, with an activation after it: moments, scaling, sums, gradient.

Values lie as (B, R, C): statistics belong to every b and channel c and are over the R between. Batch normalisation has B = 1
and R = N H W; group normalisation has B = N, R = H W, and joins the channels of a group itself, from numbers that are few.
What happens between the passes, the layers say (layers/batch_norm.py, group_norm.py); here are the passes alone.

After the scaling comes an activation f, so that a normalised value goes through memory once: "leaky" with slope `leak` below
zero (1: no activation at all, 0: ReLU), or "silu".
"""

from __future__ import annotations

from minigen.backend import Array

from .. import arguments
from ..dispatch import Ladder

LADDER = Ladder(__name__, numba="one_pass", numba_from=1 << 9)  # work: elements

KINDS = ("leaky", "silu")


def moments(x: Array) -> tuple[Array, Array]:
    """x (B, R, C) -> its mean and biased variance over R, (B, C) each."""
    arguments.check_ndim("normalise.moments", 3, x=x)
    arguments.same_kind("normalise.moments", x=x)
    found: tuple[Array, Array] = LADDER.choose(x.size, x).moments(x)
    return found


def scale(
    x: Array, mean: Array, r: Array, gain: Array, b: Array, *, kind: str = "leaky", leak: float = 1.0
) -> tuple[Array, Array]:
    """xhat = (x - mean) r and y = f(gain xhat + b), (B, R, C) each, of x (B, R, C), mean and r (B, C), gain and b (C,).

    Like the two below, it raises ValueError on shapes that do not fit and an unknown kind, TypeError on mixed precisions.
    """
    _check("normalise.scale", x, {"mean": mean, "r": r}, {"gain": gain, "b": b})
    arguments.same_kind("normalise.scale", x=x, mean=mean, r=r, gain=gain, b=b)
    rung = LADDER.choose(x.size, x, mean, r, gain, b)
    made: tuple[Array, Array] = rung.scale(x, mean, r, gain, b, kind=_known(kind), leak=leak)
    return made


def sums(dy: Array, xhat: Array, gain: Array, b: Array, *, kind: str = "leaky", leak: float = 1.0) -> tuple[Array, Array]:
    """The sums over R of du and of du xhat, (B, C) each, where du = dy f'(gain xhat + b), dy and xhat (B, R, C)."""
    arguments.check_equal_shapes("normalise.sums", dy=dy, xhat=xhat)
    _check("normalise.sums", dy, {}, {"gain": gain, "b": b})
    arguments.same_kind("normalise.sums", dy=dy, xhat=xhat, gain=gain, b=b)
    rung = LADDER.choose(dy.size, dy, xhat, gain, b)
    found: tuple[Array, Array] = rung.sums(dy, xhat, gain, b, kind=_known(kind), leak=leak)
    return found


def gradient(
    dy: Array,
    xhat: Array,
    gain: Array,
    b: Array,
    straight: Array,
    level: Array,
    tilt: Array,
    *,
    kind: str = "leaky",
    leak: float = 1.0,
) -> Array:
    """dx = straight du - level - tilt xhat, (B, R, C), du as in `sums`; straight, level and tilt (B, C)."""
    arguments.check_equal_shapes("normalise.gradient", dy=dy, xhat=xhat)
    of_groups = {"straight": straight, "level": level, "tilt": tilt}
    _check("normalise.gradient", dy, of_groups, {"gain": gain, "b": b})
    arguments.same_kind("normalise.gradient", dy=dy, xhat=xhat, gain=gain, b=b, **of_groups)
    rung = LADDER.choose(dy.size, dy, xhat, gain, b, straight, level, tilt)
    dx: Array = rung.gradient(dy, xhat, gain, b, straight, level, tilt, kind=_known(kind), leak=leak)
    return dx


def _check(name: str, values: Array, of_groups: dict[str, Array], of_channels: dict[str, Array]) -> None:
    """ValueError unless values are (B, R, C), `of_groups` (B, C) and `of_channels` (C,): a kernel reads them without asking."""
    arguments.check_ndim(name, 3, values=values)
    B, _, C = values.shape
    for wanted, arrays in (((B, C), of_groups), ((C,), of_channels)):
        for label, array in arrays.items():
            if array.shape != wanted:
                raise ValueError(f"{name}: {label} {array.shape} must be {wanted} beside values of shape {values.shape}")


def _known(kind: str) -> str:
    if kind not in KINDS:
        raise ValueError(f"unknown activation {kind!r} after a normalisation: choose one of {', '.join(KINDS)}")
    return kind
