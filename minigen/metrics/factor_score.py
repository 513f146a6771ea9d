"""The FactorVAE score: does fixing a factor still a latent of its own? (Kim and Mnih 2018, section 4)

    1. choose a factor k, fix it at a value, and draw `rows` images with all other factors at random
    2. which latent varies least over them, in proportion to its variance over all images?  d = argmin_j var_j / Var_j
    3. many such votes (d, k) make a classifier: for each latent the factor that voted for it most often
    4. the score is its accuracy, here on votes that it has not seen

1: each factor has a latent that stands still with it. A latent that carries nothing varies least always: latents whose
variance is below 5 % of the largest are left out (in the paper, those whose KL is near 0). Chance is 1 / K, and what an
untrained encoder scores is above that: it stands beside every figure.

K factors, L latents.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from ..backend import Array
from ..random import Key
from .factors import Encode, Source, codes_of

ROWS, VOTES = 64, 800
SLIGHT = 0.05  # of the largest variance: a latent below it carries nothing


class FactorScore(NamedTuple):
    """What `factor_score` found."""

    score: float
    error: float  # its standard error, of that many votes
    votes: Array  # (L, K): how often latent j varied least when factor k was fixed, among those that made the classifier
    used: int  # latents that were not left out


def factor_score(
    encode: Encode, source: Source, key: Key, *, votes: int = VOTES, rows: int = ROWS, block: int = 50
) -> FactorScore:
    """The score of an encoder, images (n, ...) -> codes (n, L), from `votes` votes and as many to judge them.

    `block` votes are encoded together. Raises ValueError on no votes, fewer than two rows, and codes that never vary.
    """
    if votes < 1 or rows < 2:
        raise ValueError(f"the score needs a vote and two rows for each, got {votes} and {rows}")
    K = len(source.sizes)
    whole = codes_of(encode, source, source.draw(rows * 100, key.at("all"))).var(0)  # (L,)
    used = np.flatnonzero(whole > SLIGHT * whole.max())
    if not len(used):
        raise ValueError("the codes are the same for all images: no latent can be still more than another")
    sides = []
    for side in ("learn", "judge"):
        factor = key.at(side, "factor").integers(K, votes)  # (votes,)
        least = np.empty(votes, np.int64)
        for start in range(0, votes, block):
            part = range(start, min(start + block, votes))
            values = np.concatenate([_fixed(source, int(factor[i]), rows, key.at(side, i)) for i in part])
            codes = codes_of(encode, source, values).reshape(len(part), rows, -1)  # (b, rows, L)
            least[part.start : part.stop] = used[(codes.var(1) / np.where(whole > 0, whole, 1))[:, used].argmin(1)]
        sides.append((least, factor))
    (least, factor), (unseen, truth) = sides
    table = np.zeros((len(whole), K), np.int64)
    np.add.at(table, (least, factor), 1)
    right = float((table.argmax(1)[unseen] == truth).mean())
    return FactorScore(right, math.sqrt(right * (1 - right) / votes), table, len(used))


def _fixed(source: Source, k: int, rows: int, key: Key) -> Array:
    """Values (rows, K), all with the same factor k."""
    values = source.draw(rows, key)
    values[:, k] = values[0, k]
    return values
