"""Cross-entropy of labels with its gradient, from logits, in one pass: what a classifier and a model of symbols minimise."""

from __future__ import annotations

from typing import Any

from minigen.backend import Array, device_of

from .. import arguments
from ..dispatch import Ladder

LADDER = Ladder(__name__, numba="one_pass", numba_from=1 << 7)  # work: logits; whoever made so many has loaded Numba


def loss(logits: Array, labels: Array, *, scale: float = 1.0) -> tuple[Any, Array]:
    """-> (value, dlogits): -log softmax(logits)[label] in nats per row, and `scale` times its gradient (softmax - onehot) / N.

    Shapes: logits and dlogits (N, ..., K), labels (N, ...) integers below K, N > 0. The value is summed in float64, complex
    where the logits are; on a GPU it stays there, an array without axes.

    Raises ValueError on shapes that do not fit and on a label that is no class, TypeError on labels that are no integers. On a
    GPU to look at the labels would be to wait for the device, so there such a label makes the value and its row of dlogits NaN.
    """
    arguments.same_kind("categorical", logits=logits)
    if labels.dtype.kind not in "iu":
        raise TypeError(f"categorical: labels must be integers, got {labels.dtype}: convert with labels.astype(np.int64)")
    if labels.shape != logits.shape[:-1]:
        raise ValueError(f"categorical: labels {labels.shape} must be the shape of logits {logits.shape} without its last axis")
    if device_of(labels) == "cpu" and labels.size and not (labels.min() >= 0 and labels.max() < logits.shape[-1]):
        raise ValueError(f"categorical: labels lie in {labels.min()} .. {labels.max()}, logits have {logits.shape[-1]} classes")
    result: tuple[Any, Array] = LADDER.choose(logits.size, logits).loss(logits, labels, scale=scale)
    return result
