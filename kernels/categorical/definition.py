"""The cross-entropy of labels, from logits, and its gradient, plainly. With p the softmax of a row of logits l,

    -log p_label = log sum_k e^l_k - l_label        d/dl_k = p_k - 1 where k is the label, p_k elsewhere

summed over a row and divided by N, the number of rows; the gradient is multiplied by `scale`.

The largest number of a row of logits is taken off first, as in softmax/definition.py: the largest real part, a constant to the
complex step.

Legend: N rows, K classes. logits, dlogits (N, ..., K), labels (N, ...).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigen.backend import Array, device_of


def loss(logits: Array, labels: Array, *, scale: float = 1.0) -> tuple[Any, Array]:
    """-> (value, dlogits)."""
    N, at = len(labels), labels[..., None]
    if device_of(labels) != "cpu":  # where nobody has looked at them
        outside = (at < 0) | (at >= logits.shape[-1])  # (N, ..., 1)
        at, logits = np.where(outside, 0, at), np.where(outside, logits.dtype.type(np.nan), logits)
    shifted = logits - logits.real.max(-1, keepdims=True)
    e = np.exp(shifted)
    total = e.sum(-1, keepdims=True)
    nll = np.log(total) - np.take_along_axis(shifted, at, -1)  # (N, ..., 1)
    e /= total
    np.put_along_axis(e, at, np.expm1(-nll), -1)  # p - 1
    e *= scale / N
    return nll.sum(dtype=np.result_type(nll.dtype, np.float64)) / N, e
