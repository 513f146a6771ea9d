"""Sequences: rows of integers below a number of symbols, as levels of sampled sound or characters of a text.

What the integers stand for is one of two traits, which a model of sequences has as an option and takes from its data:

    {"hertz": 8000}          sound: mu-law levels (mu_law.py), so many a second
    {"characters": "abc"}    text: integer i is the i-th of these characters

Legend: N rows, B rows of a batch, T positions.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ..backend import Array, to_device
from .dataset import DataError, Dataset

TRAITS = "hertz", "characters"


@dataclass(frozen=True, eq=False)
class Sequences(Dataset):
    """A data set whose `images` are rows (N, T) of integers, stored as small as they fit. DataError where one is no symbol."""

    symbols: int = field(kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        rows = self.images
        if rows.ndim != 2 or rows.dtype.kind not in "iu":
            raise DataError(f"{self.name}: sequences are rows (N, T) of integers, not {rows.dtype} of shape {rows.shape}")
        if rows.size and not (rows.min() >= 0 and rows.max() < self.symbols):
            raise DataError(f"{self.name}: symbols are 0 .. {self.symbols - 1}, and the rows hold {rows.min()} .. {rows.max()}")

    def batch(self, indices: Any, dtype: DTypeLike = np.float32, device: str = "cpu") -> Array:
        """The rows at `indices`, (B, T) int64 whatever `dtype` says: integers stay integers."""
        return to_device(self.images[indices], device).astype(np.int64)


def as_text(row: Array, characters: str) -> str:
    """The text of a row (T,) of integers."""
    return "".join(characters[int(i)] for i in row)


def as_rows(text: str, characters: str, length: int) -> Array:
    """A text cut into rows (N, T = length) of integers; what is left over at the end is left out."""
    number = {character: i for i, character in enumerate(characters)}
    count = len(text) // length
    ids = np.fromiter((number[c] for c in text[: count * length]), np.int64, count * length)
    return smallest(ids.reshape(count, length), len(characters))


def smallest(rows: Array, symbols: int) -> Array:
    """The rows in the smallest unsigned type that holds 0 .. symbols - 1."""
    return rows.astype(np.min_scalar_type(max(0, symbols - 1)))


def check_length(name: str, length: int) -> None:
    """DataError where rows would be too short to be a sequence."""
    if length < 2:
        raise DataError(f"{name}: length is {length}: a sequence has at least 2 positions")
