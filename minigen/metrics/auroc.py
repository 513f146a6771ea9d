"""The area under the receiver operating characteristic: how well a score tells positives from negatives.

    auroc = P(score of a positive > score of a negative) + P(they are equal) / 2

It is a rank statistic (Mann and Whitney 1947): sort all scores, let R be the sum of the ranks of the m positives among m + n,
tied scores sharing the mean of their ranks; of the m n pairs, R - m (m + 1) / 2 are in the right order.
"""

from __future__ import annotations

import numpy as np

from ..backend import Array, to_device


def auroc(scores: Array, positive: Array) -> float:
    """scores (N,), positive (N,) booleans -> the area, in [0, 1]; 1/2 where the score knows nothing.

    Raises ValueError where a score is not a number, the lengths differ, or there are no positives or no negatives.
    """
    scores, positive = np.asarray(to_device(scores, "cpu")), np.asarray(to_device(positive, "cpu"))
    if scores.ndim != 1 or scores.shape != positive.shape or positive.dtype != np.bool_:
        raise ValueError(f"auroc needs scores (N,) and booleans (N,), got {scores.shape} and {positive.dtype} {positive.shape}")
    if np.isnan(scores).any():
        raise ValueError(f"auroc: {int(np.isnan(scores).sum())} of {len(scores)} scores are NaN")
    m = int(positive.sum())
    n = len(scores) - m
    if not m or not n:
        raise ValueError(f"auroc needs positives and negatives, got {m} and {n}")
    right = float(ranks(scores)[positive].sum()) - m * (m + 1) / 2  # pairs in the right order, ties for a half
    return right / (m * n)


def ranks(values: Array) -> Array:
    """The rank of each value, from 1, ascending; equal values share the mean of theirs: (N,) float64."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)  # the highest rank of each distinct value
    return (last - (counts - 1) / 2)[place]
