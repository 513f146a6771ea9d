"""Adam (Kingma and Ba 2015, "Adam: a method for stochastic optimization", algorithm 1) with the decoupled weight decay of
AdamW (Loshchilov and Hutter 2019, "Decoupled weight decay regularization", algorithm 2).

    m     = beta1 m + (1 - beta1) grad              a running mean of the gradient ...
    v     = beta2 v + (1 - beta2) grad^2            ... and of its square, both begun at 0
    m_hat = m / (1 - beta1^t)                       which makes the early ones too small: the bias correction
    v_hat = v / (1 - beta2^t)
    theta = theta - rate (m_hat / (sqrt(v_hat) + eps) + weight_decay theta)

The decay pulls on theta itself, not through m and v: "decoupled". It is multiplied by `rate`, as is usual in code.

Legend: P parameters. theta, grad, m, v (P,); rate, beta1, beta2, eps, weight_decay numbers; t = 1, 2, ... the step.
"""

from __future__ import annotations

import numpy as np

from minigen.backend import Array


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
