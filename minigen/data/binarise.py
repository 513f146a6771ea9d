"""Grey images made black and white: a pixel of intensity p in [0, 1] is 1 with probability p, or where p > 1/2.

Likelihoods on binarised MNIST differ by 2 nats with the protocol alone, so the protocol is part of the name:

    load("binarized_mnist")                   STATIC: one binarisation of both splits, Larochelle's published files
    load("mnist", binarise="static")          both splits drawn once, with the published seed below
    load("mnist", binarise="sampled")         DYN-FIX: training rows drawn anew each epoch, test rows with the published seed
    load("mnist", binarise="resampled")       DYN-DYN: both drawn anew each epoch, and with each seed
    load("mnist", binarise="threshold")       p > 1/2, nothing is drawn

The published draw of MNIST's test split has, as 10,000 x 28 x 28 bytes of 0 and 255, the sha256
cac35802eaabc89366434062551735ada1afb1bab6f7df30bb69c1699186a7d8.

Legend: N rows of (H, W, C).
"""

from __future__ import annotations

from functools import partial

import numpy as np

from ..backend import Array
from ..random import Key
from .dataset import DataError, Dataset, Redrawn

HOW = "threshold", "static", "sampled", "resampled"
PUBLISHED = 0  # the seed of what is drawn once
BLOCK = 1024  # rows drawn at once: the random numbers of an epoch are never in memory together


def binarised(data: Dataset, how: str, seed: int = 0) -> Dataset:
    """`data` with rows of 0 and 255 by one of the protocols above; it is then called `<name>-<how>`, and labels stay.

    `seed` is that of the draws that are not published. Raises DataError on another `how`, and on rows that are not uint8.
    """
    if how not in HOW:
        raise DataError(f"binarise={how!r} is unknown: there are {', '.join(HOW)}. Larochelle's files are binarized_mnist")
    if data.images.dtype != np.uint8:
        raise DataError(f"{data.name}: rows of {data.images.dtype} cannot be binarised, only the intensities 0 to 255 of uint8")
    name, grey = f"{data.name}-{how}", data.images  # (N, H, W, C)
    if how == "threshold":
        return Dataset(name, threshold(grey), data.labels, data.factors, data.split, data.classes)
    anew = how == "resampled" or (how == "sampled" and data.split != "test")
    draw = partial(sampled, grey, Key(seed if anew else PUBLISHED).at("binarise", data.name, data.split))
    if not anew:
        return Dataset(name, draw(0), data.labels, data.factors, data.split, data.classes)
    return Redrawn(name, draw(0), data.labels, data.factors, data.split, data.classes, draw=draw)


def threshold(grey: Array) -> Array:
    """255 where grey / 255 > 1/2, else 0. (N, H, W, C) uint8, as `grey` is."""
    return (grey > 127).view(np.uint8) * np.uint8(255)


def sampled(grey: Array, key: Key, epoch: int) -> Array:
    """255 with probability grey / 255, else 0. (N, H, W, C) uint8, as `grey` is; a function of the key and the epoch.

    Block b holds the rows b BLOCK .. (b + 1) BLOCK - 1, and its numbers are key.at("epoch", epoch, "block", b).uniform(...).
    """
    bits = np.empty_like(grey)
    for b, start in enumerate(range(0, len(grey), BLOCK)):
        rows = grey[start : start + BLOCK]
        u = key.at("epoch", epoch, "block", b).uniform(rows.shape)  # in [0, 1): never below 0, always below 1
        bits[start : start + BLOCK] = (u * 255 < rows).view(np.uint8) * np.uint8(255)
    return bits
