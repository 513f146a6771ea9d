"""The likelihood of a latent variable model, as a bound that tightens with the number of samples (Burda et al. 2016).

    log p(x) >= L_K = E[log (1/K) sum_i w_i],        w_i = p(x, z_i) / q(z_i|x),  z_i from q(z|x)

The K weights of an image are never in memory together. Their sum is kept as a mantissa and an exponent: after each block of
log weights l, with m the largest so far,

    m' = max(m, max l),    s' = s e^(m - m') + sum e^(l - m'),    log sum_i w_i = m' + log s'

and in the same way the sum of squares, which gives the effective number of samples (sum w)^2 / sum w^2 (Kong 1992). Where that
is near one, a single sample carries the estimate, and the bound is loose however many were drawn.

Random numbers belong to the row and to the block of BLOCK samples, so neither the other rows nor how they are batched matter,
and the first samples of a larger K are those of a smaller one.

N rows, K samples.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np

from ..backend import Array, to_device
from ..random import Key

BLOCK = 500  # samples drawn and decoded at once


class HasLogWeights(Protocol):
    """What is asked of a model."""

    def log_weights(self, x: Any, samples: int, key: Key) -> Array:
        """log w_i, (N, samples), of N rows."""


class Importance(NamedTuple):
    """Of every row: the bound in nats, and the effective number of samples."""

    bound: Array  # (N,) float64, L_K
    effective: Array  # (N,) float64, between 1 and K


class RunningSum:
    """log sum e^l and log sum e^(2 l) over what was added, without overflow: of one row."""

    def __init__(self) -> None:
        self.largest, self.sum, self.squares = -np.inf, 0.0, 0.0

    def add(self, l: Array) -> None:
        """Takes log weights, (n,)."""
        l = l.astype(np.float64)
        largest = float(np.maximum(self.largest, l.max()))  # NaN where either is
        if not largest < np.inf:  # NaN or infinite: it must show in the sum, not vanish from it
            self.largest = self.sum = self.squares = largest
            return
        shrink, w = np.exp(self.largest - largest), np.exp(l - largest)
        self.sum = float(self.sum * shrink + w.sum())
        self.squares = float(self.squares * shrink * shrink + (w * w).sum())
        self.largest = largest

    @property
    def log(self) -> float:
        """log sum e^l."""
        return self.largest + float(np.log(self.sum))

    @property
    def effective(self) -> float:
        """(sum w)^2 / sum w^2."""
        return self.sum * self.sum / self.squares


def importance_bound(
    model: HasLogWeights,
    row: Callable[[int], Any],
    rows: int,
    samples: int,
    key: Key,
    *,
    first: int = 0,
    progress: Callable[[int], None] | None = None,
) -> Importance:
    """L_K of the rows first .. first + rows - 1, with K = `samples`; row(i) is row i as a batch of one.

    `progress` is told of every row. Raises ValueError on fewer than one sample.
    """
    if samples < 1:
        raise ValueError(f"samples={samples}: the bound needs at least one sample of z for each row")
    bound, effective = np.empty(rows), np.empty(rows)
    for i in range(rows):
        of_row, x, total = key.at("row", first + i), row(first + i), RunningSum()
        for block, start in enumerate(range(0, samples, BLOCK)):
            log_w = model.log_weights(x, BLOCK, of_row.at("block", block))  # (1, BLOCK)
            total.add(to_device(log_w, "cpu")[0, : samples - start])
        bound[i], effective[i] = total.log - np.log(samples), total.effective
        if progress is not None:
            progress(first + i)
    return Importance(bound, effective)
