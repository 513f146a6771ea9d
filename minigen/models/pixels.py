"""What a pixel may be: one of K levels 0, 1/(K-1), ..., 1, and its distribution given what a network says.

    K = 2   the network says one logit l, p(1) = s(l)                      Bernoulli
    K > 2   it says K logits, p(level k) = softmax(l)_k                     categorical

N batch, H, W sizes; images have one channel.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..backend import Array
from ..kernels.combine import concatenate
from ..layers.elementwise import sigmoid
from ..losses import bernoulli, categorical, log_softmax


class Levels:
    """K levels of grey. Raises ValueError unless K is 2 to 256."""

    def __init__(self, K: int) -> None:
        if not 2 <= K <= 256:
            raise ValueError(f"levels={K}: a pixel has 2 to 256 levels of grey; black and white is levels=2")
        self.K = K
        self.logits = 1 if K == 2 else K  # how many a network puts out for a pixel

    def nearest(self, x: Array) -> Array:
        """x in [0, 1] cut into K equal parts, each become its level; what is a level already stays."""
        return self.number(np.minimum(np.floor(x * self.K), self.K - 1), x.dtype)

    def number(self, k: Array, dtype: Any) -> Array:
        """Level k as a number in [0, 1]."""
        return (k / (self.K - 1)).astype(dtype)

    def loss(self, logits: Array, x: Array, *, scale: float = 1.0) -> tuple[Any, Array]:
        """-log p(x) in nats per image for logits (N, H, W, logits) and levels x (N, H, W, 1), and `scale` times dlogits."""
        return bernoulli(logits, x, scale=scale) if self.K == 2 else categorical(logits, self._index(x), scale=scale)

    def log_p(self, logits: Array, x: Array) -> Array:
        """log p(x) of every image, summed over its pixels: (N,)."""
        if self.K == 2:
            logits = concatenate((0 * logits, logits), -1)  # s(l) is the softmax of (0, l)
        of_pixels = np.take_along_axis(log_softmax(logits), self._index(x)[..., None], -1)  # (N, H, W, 1)
        total: Array = of_pixels.reshape(len(x), -1).sum(1, dtype=np.float64)
        return total

    def draw(self, logits: Array, u: Array) -> Array:
        """A level of each pixel, from logits (N, logits) and uniform numbers u (N,): (N, 1)."""
        if self.K == 2:
            return (u[:, None] < sigmoid(logits)).astype(logits.dtype)
        below = np.exp(log_softmax(logits)).cumsum(-1) < u[:, None]  # (N, K)
        return self.number(below[:, :-1].sum(-1, keepdims=True), logits.dtype)

    def _index(self, x: Array) -> Array:
        """(N, H, W, 1) -> (N, H, W) integers."""
        return np.rint(x[..., 0] * (self.K - 1)).astype(np.int64)
