"""Can a nearest neighbour tell samples from data? (Friedman and Rafsky 1979; Lopez-Paz and Oquab 2017; Xu et al. 2018)

Put n real rows and n samples together, and let each be classified by its nearest other row.

    accuracy = the share of the 2 n rows whose nearest neighbour is of their own kind

1/2: the sets cannot be told apart. Near 1: they lie apart, or one lies more densely than the other. Below 1/2: each sample lies
closer to a real row than anything else does, as copies of the data do; 0 where every row has its copy. Hence both halves are
shown: `real` near 1 with `fake` near 0 is a generator that draws a few of the data's modes only.

How unlikely is the accuracy if both sets came from one source? Then the kinds are labels given by chance, and the neighbours do
not change when they are dealt out again. The p-value is the share of deals, this one counted, that are as far from 1/2.

Equal numbers, or the larger set is told apart by its number alone. n rows of each.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..backend import Array, to_device
from ..random import Key
from .nearest import nearest

DEALS = 999


class TwoSample(NamedTuple):
    """What `two_sample` found."""

    accuracy: float
    real: float  # of the real rows, those nearest to a real row
    fake: float  # of the samples, those nearest to a sample
    p_value: float
    rows: int  # n


def two_sample(real: Array, fake: Array, key: Key, *, deals: int = DEALS) -> TwoSample:
    """The test of real rows (n, ...) and as many samples. Raises ValueError on other numbers, and as `nearest` does."""
    if len(real) != len(fake) or len(real) < 2 or deals < 1:
        raise ValueError(
            f"the test needs as many samples as real rows, two at least, got {len(real)} real rows and {len(fake)}"
        )
    n = len(real)
    both = np.concatenate([to_device(rows, "cpu").reshape(n, -1) for rows in (real, fake)])
    neighbour = nearest(both, both, 1, leave_out_self=True).indices[:, 0]  # (2 n,)
    is_real = np.arange(2 * n) < n
    same = is_real == is_real[neighbour]
    far = abs(same.mean() - 0.5)
    as_far = 1
    for i in range(deals):
        dealt = is_real[key.at(i).permutation(2 * n)]
        as_far += bool(abs((dealt == dealt[neighbour]).mean() - 0.5) >= far - 1e-12)
    return TwoSample(float(same.mean()), float(same[:n].mean()), float(same[n:].mean()), as_far / (deals + 1), n)
