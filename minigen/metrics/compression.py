"""What a code is worth as a compressed image: its size in bits, and the error that is left.

Each code unit is rounded to one of 2^b levels between its extremes on the training rows. An entropy coder that knows how often
each level occurs needs, on average, their entropy:

    rate = sum over units of -sum over levels p log2 p      bits per image,  p the frequency of a level of that unit

It is an estimate: from N rows it is too low by about (levels - 1) / 2N nats a unit (Miller 1955), and the tables are not
counted. The units are coded one by one, so what they share is paid for twice.

N rows, K code units.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np

from ..backend import Array, to_device
from .blocks import in_blocks
from .squared_error import squared_errors


@dataclass(frozen=True, eq=False)
class Quantiser:
    """Equal steps from `low` to `low + levels step`; a level stands for the middle of its step. Codes outside are clipped."""

    low: Array  # (K,)
    step: Array  # (K,); 0 of a unit that never changes
    levels: int

    @classmethod
    def fit(cls, codes: Array, bits: int, *, common_step: bool = False) -> Self:
        """2^bits levels between the smallest and the largest code (N, K) of each unit.

        `common_step` gives every unit the step of the widest one: right where an error weighs the same in every unit, as in
        PCA, while a network may scale its units as it likes.
        """
        if codes.ndim != 2 or not len(codes) or not 0 <= bits <= 16:
            raise ValueError(f"Quantiser needs codes (N, K) and 0 to 16 bits, got {codes.shape} and {bits}")
        low, high = codes.min(0).astype(np.float64), codes.max(0).astype(np.float64)
        step = (high - low) / 2**bits
        if common_step:
            step = np.full_like(step, step.max())
        return cls(low, step, 2**bits)

    def indices(self, codes: Array) -> Array:
        """The level of each code, (N, K) int64 in 0 .. levels - 1."""
        steps = (codes - self.low) / np.where(self.step > 0, self.step, np.inf)
        return steps.clip(0, self.levels - 1).astype(np.int64)

    def values(self, indices: Array) -> Array:
        """The codes that levels stand for, (N, K) float64."""
        return self.low + (indices + 0.5) * self.step


def entropy_bits(indices: Array) -> Array:
    """The empirical entropy of each column of (N, K) integers, in bits: (K,)."""
    if indices.ndim != 2 or not len(indices):
        raise ValueError(f"entropy_bits needs (N, K) integers, got {indices.shape}")
    entropies = np.zeros(indices.shape[1])
    for k, column in enumerate(indices.T):
        p = np.unique(column, return_counts=True)[1] / len(column)
        entropies[k] = -(p * np.log2(p)).sum() + 0.0  # of one level alone: 0, not -0
    return entropies


class RatePoint(NamedTuple):
    bits: int  # of a code unit before entropy coding
    rate: float  # bits per image after it
    mse: float  # per pixel


def rate_distortion(
    encode: Callable[[Array], Array],
    decode: Callable[[Array], Array],
    train: Array,
    test: Array,
    bits: Iterable[int] = (1, 2, 3, 4, 5, 6, 8),
    *,
    common_step: bool = False,
) -> list[RatePoint]:
    """The rate-distortion curve of a code on test (N, ...), pixels in [0, 1]; the extremes are those of train's codes."""
    codes, seen = in_blocks(encode, test), in_blocks(encode, train)
    points = []
    for b in bits:
        quantiser = Quantiser.fit(seen, b, common_step=common_step)
        indices = quantiser.indices(codes)
        y = in_blocks(decode, quantiser.values(indices).astype(codes.dtype)).clip(0, 1)
        points.append(RatePoint(b, float(entropy_bits(indices).sum()), float(squared_errors(y, to_device(test, "cpu")).mean())))
    return points
