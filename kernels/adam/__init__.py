"""Adam's update of a flat vector of parameters, in place: the one pass in which an optimiser's step consists.

And the step that it would take, beside the vectors, with the way back through it: what a game that looks ahead needs.
"""

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


def imagined(
    theta: Array,
    grad: Array,
    m: Array,
    v: Array,
    kept1: Array,
    kept2: Array,
    *,
    rate: float,
    beta1: float,
    beta2: float,
    eps: float,
    k: int,
) -> tuple[Array, Array, Array]:
    """-> theta', m', v' of the k-th imagined step (k = 1, 2, ...), in new arrays; the formula is in `definition.py`.

    theta, grad, m, v (P,), before it; kept1, kept2 (1,) = beta1^t, beta2^t after t steps, of which these are no part.
    Raises ValueError on shapes that do not fit and on k < 1, TypeError on mixed precisions.
    """
    arrays = {"theta": theta, "grad": grad, "m": m, "v": v}
    _check("adam.imagined", arrays, {"kept1": kept1, "kept2": kept2}, k)
    rung = LADDER.choose(theta.size, *arrays.values(), kept1, kept2)
    options = {"rate": rate, "beta1": beta1, "beta2": beta2, "eps": eps, "k": k}
    made: tuple[Array, Array, Array] = rung.imagined(*arrays.values(), kept1, kept2, **options)
    return made


def imagined_back(
    a: Array,
    a_m: Array | None,
    a_v: Array | None,
    grad: Array,
    m: Array,
    v: Array,
    kept1: Array,
    kept2: Array,
    *,
    rate: float,
    beta1: float,
    beta2: float,
    eps: float,
    k: int,
) -> tuple[Array, Array, Array]:
    """-> the derivatives by grad, m and v, (P,) each, from those by theta', m' and v': a, a_m, a_v; None is zero.

    By theta it is a. m and v are what `imagined` returned. Raises ValueError on shapes that do not fit and on k < 1, TypeError
    on mixed precisions.
    """
    given = {"a": a, "a_m": a_m, "a_v": a_v, "grad": grad, "m": m, "v": v}
    arrays = {name: x for name, x in given.items() if x is not None}
    _check("adam.imagined_back", arrays, {"kept1": kept1, "kept2": kept2}, k)
    rung = LADDER.choose(a.size, *arrays.values(), kept1, kept2)
    options = {"rate": rate, "beta1": beta1, "beta2": beta2, "eps": eps, "k": k}
    made: tuple[Array, Array, Array] = rung.imagined_back(a, a_m, a_v, grad, m, v, kept1, kept2, **options)
    return made


def _check(operation: str, arrays: dict[str, Array], kept: dict[str, Array], k: int) -> None:
    arguments.check_ndim(operation, 1, **arrays)
    arguments.check_equal_shapes(operation, **arrays)
    for name, x in kept.items():
        if x.shape != (1,):
            raise ValueError(f"{operation}: {name} must be one number in an array (1,), got shape {x.shape}: reshape it")
    arguments.same_kind(operation, **arrays, **kept)
    if k < 1:
        raise ValueError(f"{operation}: imagined steps are counted from k = 1, got {k}")
