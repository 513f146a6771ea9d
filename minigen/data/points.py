"""The densities of `densities.py` as data sets: `load("ring8")` has rows (2,), a new draw of them in each epoch."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from ..backend import Array
from ..random import Key
from .dataset import Dataset, Redrawn
from .densities import DENSITIES, density
from .registry import Entry, register

ROWS = {"train": 100_000, "test": 10_000}


def points(name: str, rows: int, key: Key, epoch: int) -> Array:
    """(rows, 2) float32 points of an epoch."""
    return density(name).sample(rows, key.at("epoch", epoch)).astype(np.float32)


def load_points(
    name: str, split: str, folder: Path | None, rows: int | None = None, seed: int = 0, fresh: bool = True
) -> Dataset:
    """`rows` points (N, 2) float32 of the density `name`; with `fresh`, those of the train split are drawn anew each epoch."""
    draw = partial(points, name, ROWS[split] if rows is None else rows, Key(seed).at(name, split))
    if fresh and split == "train":
        return Redrawn(name, draw(0), split=split, draw=draw)
    return Dataset(name, draw(0), split=split)


for _density in DENSITIES.values():
    register(
        Entry(
            name=_density.name,
            about=f"points in the plane: {_density.about}",
            shape=(2,),
            rows=dict(ROWS),
            source="drawn from a density whose entropy is known",
            licence="free",
            built_in=True,
            loader=partial(load_points, _density.name),
        )
    )
