"""Disentanglement, completeness, informativeness (Eastwood and Williams 2018): can factors be told from latents, from which?

A forest of trees learns each factor k from the codes, and says how important latent j was: R_jk. With its rows and columns
scaled to sum 1, p_jk over factors and q_jk over latents,

    disentanglement   sum_j rho_j (1 - H(p_j) / log K)       a latent is important for one factor      rho_j its share of all R
    completeness      mean_k (1 - H(q_k) / log L)            a factor is told from one latent
    informativeness   mean_k of the accuracy of the forest on rows that it has not seen; chance stands beside it

Factors have few values here, so their values are classes. The forest is minigen's own (`forest.py`): the paper uses lasso,
which sees linear relations only, and random forests; Locatello et al. (2019) gradient-boosted trees. So figures are to be
compared with those of this forest, such as an untrained encoder's.

n rows, L latents, K factors.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from ..backend import Array
from ..random import Key
from .factors import checked
from .forest import TREES, grow
from .inception_score import entropy


class DCI(NamedTuple):
    """What `dci` found."""

    disentanglement: float
    completeness: float
    informativeness: float
    chance: float  # the accuracy of always naming the most frequent value
    importance: Array  # (L, K), each column of sum 1


def dci(codes: Array, values: Array, key: Key, *, held_out: float = 0.25, trees: int = TREES) -> DCI:
    """codes (n, L), values (n, K) integers; the last `held_out` of the rows judge.

    Raises ValueError on fewer than two latents or factors, and where either side has no rows.
    """
    codes, values = checked(codes, values, "dci")
    (n, L), K = codes.shape, values.shape[1]
    first = n - int(held_out * n)
    if min(L, K) < 2 or not 0 < first < n:
        raise ValueError(
            f"dci needs two latents, two factors and rows to learn and to judge, got {L}, {K}, {first} and {n - first}"
        )
    R, right, usual = np.zeros((L, K)), [], []
    for k in range(K):
        forest = grow(codes[:first], values[:first, k], key.at(k), trees=trees)
        R[:, k] = forest.importance
        truth = values[first:, k]
        right.append(float((forest.predict(codes[first:]) == truth).mean()))
        usual.append(float((np.bincount(values[:first, k]).argmax() == truth).mean()))
    of_latents, of_factors, total = R.sum(1), R.sum(0), R.sum()
    if not total:
        return DCI(0.0, 0.0, math.fsum(right) / K, math.fsum(usual) / K, R)
    p = R / np.where(of_latents > 0, of_latents, 1)[:, None]  # (L, K)
    q = (R / np.where(of_factors > 0, of_factors, 1)).T  # (K, L)
    rho, lonely = of_latents / total, of_factors > 0  # a factor that no latent helps to tell is in none
    disentanglement = float((rho * (1 - entropy(p) / math.log(K))).sum())
    completeness = float((lonely * (1 - entropy(q) / math.log(L))).mean())
    return DCI(disentanglement, completeness, math.fsum(right) / K, math.fsum(usual) / K, R)
