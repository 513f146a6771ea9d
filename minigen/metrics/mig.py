"""The mutual information gap: is a factor in one latent, and in no other? (Chen et al. 2018)

    MIG = mean over factors k of ( I(z_a; v_k) - I(z_b; v_k) ) / H(v_k)       a and b the latents that know most of v_k

1 where each factor is known from exactly one latent; 0 where two know it alike, however well. It does not mind a latent that
knows two factors: DCI's disentanglement does.

The information is that of a table of counts, with each latent cut into 20 equal steps between its extremes (Locatello et al.
2019). Of n rows a table is too high by about (bins - 1)(values - 1) / 2n nats, for all latents alike, so that the gap keeps
little of it.

n rows, L latents, K factors.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..backend import Array
from .factors import checked

BINS = 20


class Gap(NamedTuple):
    """What `mig` found."""

    mig: float
    gaps: Array  # (K,)
    information: Array  # (L, K) nats
    entropies: Array  # (K,) nats


def mig(codes: Array, values: Array, bins: int = BINS) -> Gap:
    """codes (n, L), values (n, K) integers. Raises ValueError on fewer than two latents, and on a factor that never changes."""
    codes, values = checked(codes, values, "mig")
    if codes.shape[1] < 2 or bins < 2:
        raise ValueError(f"a gap needs two latents and two bins, got {codes.shape[1]} and {bins}")
    information = np.array([[mutual_information(steps(z, bins), v) for v in values.T] for z in codes.T])  # (L, K)
    entropies = np.array([mutual_information(v, v) for v in values.T])
    if not entropies.all():
        raise ValueError(f"factor {int(entropies.argmin())} has the same value in all rows: nothing can be known of it")
    best = np.sort(information, 0)
    gaps = (best[-1] - best[-2]) / entropies
    return Gap(float(gaps.mean()), gaps, information, entropies)


def steps(z: Array, bins: int) -> Array:
    """Numbers (n,) -> the step of each, (n,) int64 in 0 .. bins - 1, of equal steps between their extremes."""
    low, high = z.min(), z.max()
    if low == high:
        return np.zeros(len(z), np.int64)
    return np.minimum((z - low) / (high - low) * bins, bins - 1).astype(np.int64)


def mutual_information(a: Array, b: Array) -> float:
    """sum p(a, b) log p(a, b) / p(a) p(b) of two columns (n,) of integers from 0, in nats; of a with itself its entropy."""
    A, B = int(a.max()) + 1, int(b.max()) + 1
    p = np.bincount(a * B + b, minlength=A * B).reshape(A, B) / len(a)
    apart = p.sum(1, keepdims=True) * p.sum(0)
    seen = p > 0
    return max(0.0, float((p[seen] * np.log(p[seen] / apart[seen])).sum()))
