"""The passes over memory that a normalisation makes, with an activation after it: statistics, scaling, sums, gradient.

Values lie as (B, R, C), B batches of R rows and C channels. The channels form `groups` of neighbours, by default each its own,
and mean and variance are those of a b and a group, over its rows and its K channels. Batch normalisation has B = 1 and
R = N H W, group normalisation B = N and R = H W. Statistics stand beside every channel, (B, C).

After the scaling comes an activation f, so that a normalised value goes through memory once: "leaky" with slope `leak` below
zero (1: no activation at all, 0: ReLU), or "silu".
"""

from __future__ import annotations

from minigen.backend import Array

from .. import arguments
from ..dispatch import Ladder

LADDER = Ladder(__name__, numba="one_pass", numba_from=1 << 9)  # work: elements

KINDS = ("leaky", "silu")


def statistics(x: Array, *, eps: float, groups: int | None = None) -> tuple[Array, Array, Array]:
    """x (B, R, C) -> the mean, the biased variance and r = 1 / sqrt(var + eps) of every group, (B, C) each.

    Like the three below, it raises ValueError on shapes that do not fit, TypeError on mixed precisions.
    """
    arguments.check_ndim("normalise.statistics", 3, x=x)
    arguments.same_kind("normalise.statistics", x=x)
    groups = _groups("normalise.statistics", groups, x)
    found: tuple[Array, Array, Array] = LADDER.choose(x.size, x).statistics(x, eps=eps, groups=groups)
    return found


def scale(
    x: Array, mean: Array, r: Array, gain: Array, b: Array, *, kind: str = "leaky", leak: float = 1.0
) -> tuple[Array, Array]:
    """xhat = (x - mean) r and y = f(gain xhat + b), (B, R, C) each, of x (B, R, C), mean and r (B, C), gain and b (C,).

    It and the two below raise ValueError on an unknown kind, too.
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
    r: Array,
    level: Array,
    tilt: Array,
    *,
    groups: int | None = None,
    moving: bool = True,
    kind: str = "leaky",
    leak: float = 1.0,
) -> Array:
    """dx (B, R, C) = r (gain du - m(gain level) - xhat m(gain tilt)), with du, level and tilt (B, C) as in `sums`, r (B, C).

    m(s), of sums over R, is the mean over all values of a group: their sum over its channels, divided by R K. Where mean and
    variance do not depend on x, `moving` is False, and dx = r gain du.
    """
    arguments.check_equal_shapes("normalise.gradient", dy=dy, xhat=xhat)
    of_groups = {"r": r, "level": level, "tilt": tilt}
    _check("normalise.gradient", dy, of_groups, {"gain": gain, "b": b})
    arguments.same_kind("normalise.gradient", dy=dy, xhat=xhat, gain=gain, b=b, **of_groups)
    how = {"groups": _groups("normalise.gradient", groups, dy), "moving": moving, "kind": _known(kind), "leak": leak}
    dx: Array = LADDER.choose(dy.size, dy, xhat, gain, b, r, level, tilt).gradient(dy, xhat, gain, b, r, level, tilt, **how)
    return dx


def forward(
    x: Array, gain: Array, b: Array, *, eps: float, groups: int | None = None, kind: str = "leaky", leak: float = 1.0
) -> tuple[Array, Array, Array]:
    """-> xhat, y (B, R, C) and r (B, C): `statistics` and `scale`, where nothing else is asked of the statistics."""
    _check("normalise.forward", x, {}, {"gain": gain, "b": b})
    arguments.same_kind("normalise.forward", x=x, gain=gain, b=b)
    how = {"groups": _groups("normalise.forward", groups, x), "kind": _known(kind), "leak": leak}
    made: tuple[Array, Array, Array] = LADDER.choose(x.size, x, gain, b).forward(x, gain, b, eps=eps, **how)
    return made


def backward(
    dy: Array,
    xhat: Array,
    gain: Array,
    b: Array,
    r: Array,
    *,
    groups: int | None = None,
    kind: str = "leaky",
    leak: float = 1.0,
) -> tuple[Array, Array, Array]:
    """-> dx (B, R, C), and the `sums` level and tilt (B, C): `sums` and `gradient`, with a mean and a variance that move."""
    arguments.check_equal_shapes("normalise.backward", dy=dy, xhat=xhat)
    _check("normalise.backward", dy, {"r": r}, {"gain": gain, "b": b})
    arguments.same_kind("normalise.backward", dy=dy, xhat=xhat, gain=gain, b=b, r=r)
    how = {"groups": _groups("normalise.backward", groups, dy), "kind": _known(kind), "leak": leak}
    made: tuple[Array, Array, Array] = LADDER.choose(dy.size, dy, xhat, gain, b, r).backward(dy, xhat, gain, b, r, **how)
    return made


def _check(name: str, values: Array, of_groups: dict[str, Array], of_channels: dict[str, Array]) -> None:
    """ValueError unless values are (B, R, C), `of_groups` (B, C) and `of_channels` (C,): a kernel reads them without asking."""
    arguments.check_ndim(name, 3, values=values)
    B, _, C = values.shape
    for wanted, arrays in (((B, C), of_groups), ((C,), of_channels)):
        for label, array in arrays.items():
            if array.shape != wanted:
                raise ValueError(f"{name}: {label} {array.shape} must be {wanted} beside values of shape {values.shape}")


def _groups(name: str, groups: int | None, values: Array) -> int:
    C: int = values.shape[2]
    if groups is None:
        return C
    if groups < 1 or C % groups:
        raise ValueError(f"{name}: {groups} groups do not divide {C} channels evenly")
    return groups


def _known(kind: str) -> str:
    if kind not in KINDS:
        raise ValueError(f"unknown activation {kind!r} after a normalisation: choose one of {', '.join(KINDS)}")
    return kind
