"""Stacked digits: three in one image, one in each channel, so that there are a thousand kinds of image.

    load("stacked_mnist")       (N, 28, 28, 3), made from MNIST; the test split from its test images
    load("stacked_glyphs")      the same of built-in glyphs

Row i of a seed holds three digits drawn from all of them. Its label is the number that they spell, 0 .. 999: 100 times that of
the red channel, 10 times that of the green, and that of the blue.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..backend import Array
from ..random import Key
from .dataset import Dataset
from .registry import Entry, load, register

ROWS: dict[str, int | str] = {"train": 60_000, "test": 10_000}
CHANNELS = 3


def stacked(images: Array, labels: Array, n: int, key: Key) -> tuple[Array, Array]:
    """Images (N, H, W, 1) and labels (N,) of ten classes -> n stacked ones, (n, H, W, 3), and their labels (n,)."""
    rows = key.at("rows").integers(len(images), (n, CHANNELS))
    made = np.empty((n, *images.shape[1:3], CHANNELS), images.dtype)
    for c in range(CHANNELS):
        made[..., c] = images[rows[:, c], :, :, 0]
    spelled: Array = labels[rows] @ 10 ** np.arange(CHANNELS)[::-1]
    return made, spelled


def _load(
    base: str, split: str, folder: Path | None, rows: int | None = None, seed: int = 0, size: int | None = None
) -> Dataset:
    options: dict[str, Any] = {} if size is None else {"size": size}
    grey = load(base, split, folder=folder, **options)
    assert grey.labels is not None
    n = int(ROWS[split]) if rows is None else rows
    images, labels = stacked(grey.images, grey.labels, n, Key(seed).at("stacked", split))
    return Dataset(f"stacked_{base}", images, labels, None, split, tuple(f"{i:03}" for i in range(1000)))


def _register(base: str, about: str, source: str, licence: str, built_in: bool) -> None:
    register(Entry(f"stacked_{base}", about, (28, 28, CHANNELS), dict(ROWS), source, licence, built_in, partial(_load, base)))


_register("mnist", "three handwritten digits in three channels", "MNIST", "CC BY-SA 3.0 (LeCun, Cortes)", False)
_register("glyphs", "three digits of glyphs in three channels", "drawn from the fonts that matplotlib carries", "free", True)
