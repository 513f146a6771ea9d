"""Adam's update of a flat vector of parameters, in place: the one pass in which an optimiser's step consists."""

from __future__ import annotations

from minigen.backend import Array

from .. import arguments
from ..dispatch import Ladder

LADDER = Ladder(__name__, numba="one_pass", numba_from=1 << 14)  # work: parameters


def step(
    theta: Array,
    grad: Array,
    m: Array,
    v: Array,
    *,
    rate: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    t: int,
) -> None:
    """Moves theta, m and v in place by the t-th step (t = 1, 2, ...); the formula is in `definition.py`.

    Shapes: all (P,). Raises ValueError on shapes that differ and on t < 1, TypeError on dtypes that differ.
    """
    arrays = {"theta": theta, "grad": grad, "m": m, "v": v}
    arguments.check_ndim("adam", 1, **arrays)
    arguments.check_equal_shapes("adam", **arrays)
    arguments.same_kind("adam", **arrays)
    arguments.check_equal_dtypes("adam", **arrays)
    if t < 1:
        raise ValueError(f"adam: steps are counted from t = 1, got {t}: at 0 the bias correction divides by zero")
    rung = LADDER.choose(theta.size, theta, grad, m, v)
    rung.step(theta, grad, m, v, rate=rate, beta1=beta1, beta2=beta2, eps=eps, weight_decay=weight_decay, t=t)
