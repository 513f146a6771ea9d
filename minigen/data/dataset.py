"""A data set: rows, their labels and factors, and the conversion of some rows to a float batch.

Legend: N rows, B rows of a batch, (H, W, C) an image. A set of points has rows (D,) in place of (H, W, C), one of sequences
(sequences.py) rows (T,) of integers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ..backend import Array, Shape, empty, to_device


class DataError(ValueError):
    """Data that is missing, broken or not what was asked for. The message says what was found and what to do."""


@dataclass(frozen=True, eq=False)
class Dataset:
    """One split of a data set, held in memory on the CPU.

    uint8 images stay uint8 (a quarter of the memory) and become floats batch by batch.
    """

    name: str
    images: Array  # (N, H, W, C) uint8, or float32 in [0, 1]
    labels: Array | None = None  # (N,) int64: an index into `classes`
    factors: Mapping[str, Array] | None = None  # what generated each row, by name: (N,) each
    split: str = "train"
    classes: tuple[str, ...] = ()  # the name of each label
    traits: Mapping[str, Any] = field(default_factory=dict)  # what else a model must know of the rows, by name of its option

    def __post_init__(self) -> None:
        for name, column in {"labels": self.labels, **(self.factors or {})}.items():
            if column is not None and len(column) != len(self.images):
                raise DataError(f"{self.name}: {len(self.images)} images, but {len(column)} values of {name}")

    def __len__(self) -> int:
        return len(self.images)

    @property
    def shape(self) -> Shape:
        """The shape of one row: (H, W, C)."""
        return self.images.shape[1:]

    def batch(self, indices: Any, dtype: DTypeLike = np.float32, device: str = "cpu") -> Array:
        """The rows at `indices` (B,) as floats, (B, H, W, C): uint8 is divided by 255, so images lie in [0, 1].

        The division takes place on `device`, where a quarter of the bytes need to be sent.
        """
        return as_floats(to_device(self.images[indices], device), dtype)

    def in_epoch(self, epoch: int) -> Dataset:
        """The data set as `epoch` sees it: itself, but for one whose rows are drawn anew."""
        return self

    def at(self, rows: Array) -> Dataset:
        """Some rows of it, by indices or booleans."""
        labels = None if self.labels is None else self.labels[rows]
        factors = None if self.factors is None else {name: column[rows] for name, column in self.factors.items()}
        return replace(self, images=self.images[rows], labels=labels, factors=factors)

    def of_class(self, *names: str) -> Array:
        """(N,) booleans: the rows whose label is one of these classes. Raises DataError with the classes there are."""
        if self.labels is None or not self.classes:
            raise DataError(f"{self.name} has no classes")
        for name in names:
            if name not in self.classes:
                raise DataError(f"{self.name} has no class {name!r}: its classes are {', '.join(self.classes)}")
        return np.isin(self.labels, [self.classes.index(name) for name in names])


@dataclass(frozen=True, eq=False)
class Redrawn(Dataset):
    """A data set whose rows are drawn anew for each epoch: binarised images, points of a density.

    `draw(epoch)` gives the rows of an epoch, the same whenever it is asked, so that a run resumes. `images` are those of epoch
    0. Labels and factors stay with the rows.
    """

    draw: Callable[[int], Array] = field(kw_only=True)

    def at(self, rows: Array) -> Dataset:
        """Some rows of it, drawn anew with all the others."""
        return replace(super().at(rows), draw=lambda epoch: self.draw(epoch)[rows])  # type: ignore[call-arg]

    def in_epoch(self, epoch: int) -> Dataset:
        """The rows of `epoch`, which do not change any more."""
        if epoch == 0:
            return self
        return Dataset(self.name, self.draw(epoch), self.labels, self.factors, self.split, self.classes)


def as_floats(images: Array, dtype: DTypeLike = np.float32) -> Array:
    """A new array of `dtype`: uint8 divided by 255, floats as they are."""
    floats = empty(images.shape, dtype, like=images)
    floats[...] = images
    if images.dtype == np.uint8:
        floats /= 255
    return floats


def check_images(images: Array, *, name: str = "images", low: float = 0.0, high: float = 1.0) -> None:
    """Raises DataError that names the first row and place that is NaN, infinite, or outside [low, high].

    Integers are checked by their type alone: uint8 cannot be wrong, any other kind is refused.
    """
    if images.dtype == np.uint8:
        return
    if images.dtype.kind != "f":
        raise DataError(f"{name} have dtype {images.dtype}: use uint8 in 0 .. 255, or floats in [{low:g}, {high:g}]")
    block = max(1, (1 << 22) // max(1, math.prod(images.shape[1:])))  # a few megabytes of booleans at a time
    for start in range(0, len(images), block):
        rows = images[start : start + block]
        bad = ~((rows >= low) & (rows <= high))  # written so that NaN is bad
        if not bad.any():
            continue
        row, *place = (int(i) for i in np.unravel_index(int(bad.reshape(-1).argmax()), bad.shape))
        value = float(rows[(row, *place)])
        kind = "is not finite" if not math.isfinite(value) else f"is outside [{low:g}, {high:g}]"
        raise DataError(
            f"{name}: row {start + row} holds {value:g} at {tuple(place)}, which {kind}. Mend or leave out this row."
        )
