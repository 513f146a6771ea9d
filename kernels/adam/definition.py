"""Adam (Kingma and Ba 2015, "Adam: a method for stochastic optimization", algorithm 1) with the decoupled weight decay of
AdamW (Loshchilov and Hutter 2019, "Decoupled weight decay regularization", algorithm 2).

    m     = beta1 m + (1 - beta1) grad              a running mean of the gradient ...
    v     = beta2 v + (1 - beta2) grad^2            ... and of its square, both begun at 0
    m_hat = m / (1 - beta1^t)                       which makes the early ones too small: the bias correction
    v_hat = v / (1 - beta2^t)
    theta = theta - rate (m_hat / (sqrt(v_hat) + eps) + weight_decay theta)

The decay pulls on theta itself, not through m and v: "decoupled". It is multiplied by `rate`, as is usual in code.

An *imagined* step is the same without decay, beside the arrays instead of in place: the k-th from a place where t steps were
taken, whose traces kept1 = beta1^t and kept2 = beta2^t are arrays, since on a device they change from step to step. With
c1 = 1 - beta1^k kept1 and c2 = 1 - beta2^k kept2,

    theta' = theta - rate m_hat / (root + eps)      m_hat = m' / c1,  root = sqrt(v' / c2),  m' and v' as m and v above

and back through it, from a, a_m, a_v, the derivatives of something by theta', m' and v':

    b_m = a_m - rate / (c1 (root + eps)) a          b_v = a_v + rate m_hat / ((root + eps)^2 2 root c2) a
    a_g = (1 - beta1) b_m + 2 (1 - beta2) grad b_v  by grad, and beta1 b_m by m, beta2 b_v by v

Where a parameter has never had a gradient v' is 0, and so are m' and grad: root is then TINY, and b_v stays a_v.

Legend: P parameters. theta, grad, m, v (P,); rate, beta1, beta2, eps, weight_decay numbers; t = 1, 2, ... the step.
a, a_m, a_v, a_g (P,); kept1, kept2 (1,); k = 1, 2, ... the imagined step.
"""

from __future__ import annotations

import numpy as np

from minigen.backend import Array

TINY = 1e-30


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
    """Moves theta, m and v in place."""
    m[...] = beta1 * m + (1 - beta1) * grad
    v[...] = beta2 * v + (1 - beta2) * grad**2
    m_hat = m / (1 - beta1**t)
    v_hat = v / (1 - beta2**t)
    theta -= rate * (m_hat / (np.sqrt(v_hat) + eps) + weight_decay * theta)


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
    """-> theta', m', v'."""
    m = beta1 * m + (1 - beta1) * grad
    v = beta2 * v + (1 - beta2) * grad * grad
    m_hat, root, _, _ = _corrected(m, v, kept1, kept2, beta1, beta2, k)
    return theta - rate * m_hat / (root + eps), m, v


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
    """-> a_g, beta1 b_m, beta2 b_v."""
    m_hat, root, c1, c2 = _corrected(m, v, kept1, kept2, beta1, beta2, k)
    slope = rate / (root + eps) * a
    b_m = (0 if a_m is None else a_m) - slope / c1
    b_v = (0 if a_v is None else a_v) + slope * (m_hat / (root + eps)) / (2 * c2 * np.maximum(root, TINY))
    return (1 - beta1) * b_m + 2 * (1 - beta2) * grad * b_v, beta1 * b_m, beta2 * b_v


def _corrected(
    m: Array, v: Array, kept1: Array, kept2: Array, beta1: float, beta2: float, k: int
) -> tuple[Array, Array, Array, Array]:
    """m_hat, root, c1, c2 of m' and v'."""
    c1, c2 = 1 - beta1**k * kept1, 1 - beta2**k * kept2
    return m / c1, np.sqrt(v / c2), c1, c2
