"""The inception score: are samples clear, each of one class, and all together of many? (Salimans et al. 2016)

    score = exp E_x KL(p(y|x) || p(y)) = exp( H(y) - H(y|x) ),        p(y) = E_x p(y|x)

It lies between 1, where the class says nothing about the sample, and the number of classes. With p from a classifier that
minigen trained itself it is no figure that could be compared with those of Inception's 1,000 classes.

What it does not see: one sharp sample of each class, drawn again and again, scores all it can; and it never looks at the data.
So the score of the data stands beside it. Of few rows it is too small: H(y) of N rows is too low by up to (K - 1) / 2N nats.

N rows, K classes.
"""

from __future__ import annotations

import numpy as np

from ..backend import Array, to_device


def inception_score(probabilities: Array) -> float:
    """probabilities (N, K), p(y|x) of each row -> the score. Raises ValueError where rows are no distributions."""
    p = np.asarray(to_device(probabilities, "cpu"), np.float64)
    if p.ndim != 2 or not p.size:
        raise ValueError(f"inception_score takes probabilities (N, K), got {p.shape}")
    wrong = ~((p >= 0).all(1) & (np.abs(p.sum(1) - 1) < 1e-3))  # NaN is wrong
    if wrong.any():
        raise ValueError(
            f"inception_score: {int(wrong.sum())} of {len(p)} rows are no distributions, the first is row {wrong.argmax()}"
        )
    p = p / p.sum(1, keepdims=True)
    return float(np.exp(entropy(p.mean(0)[None])[0] - entropy(p).mean()))


def entropy(p: Array) -> Array:
    """-sum_k p_k log p_k of each row of (N, K), in nats: (N,)."""
    found: Array = -(p * np.log(np.where(p > 0, p, 1))).sum(1)
    return found
