"""Glyphs whose factors are independent and take few values each: the data on which disentanglement is measured.

In `glyphs` a wide letter is drawn smaller and moves less, so its factors hang together. Here every combination fits into the
image, and each factor is uniform on its values whatever the others are, as in dSprites (Matthey et al. 2017):

    character   3    "1", "4", "8" of the sans face
    size        6    capitals of 34 % to 50 % of the image's height
    slant       8    tangents of -0.35 to 0.35
    dx, dy     16    from the middle, up to 16 % of the image's height to each side

    source = GlyphFactors()
    values = source.draw(1000, Key(0))          # (1000, 5) integers
    source.images(values)                       # (1000, 28, 28, 1) float32 in [0, 1]

36,864 images in all. n images, K = 5 factors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..backend import Array
from ..random import Key
from .dataset import DataError, Dataset
from .glyphs import CHUNK, Glyphs
from .registry import Entry, register

CHARACTERS = "148"
SIZE = 0.34, 0.50  # of a capital, as a part of the image's height
SLANT = -0.35, 0.35
FARTHEST = 0.16  # the largest |dx| and |dy|, as a part of the image's height
SIZES, SLANTS, PLACES = 6, 8, 16


@dataclass(frozen=True)
class GlyphFactors:
    """The grid of glyphs; `side` is that of the image in pixels. Raises DataError as `Glyphs` does."""

    side: int = 28
    characters: str = CHARACTERS

    def __post_init__(self) -> None:
        self._glyphs()

    def _glyphs(self) -> Glyphs:
        return Glyphs(Key(0), self.characters, self.side)

    @property
    def sizes(self) -> Mapping[str, int]:
        """How many values each factor has, in the order of the columns."""
        return {"character": len(self.characters), "size": SIZES, "slant": SLANTS, "dx": PLACES, "dy": PLACES}

    def draw(self, n: int, key: Key) -> Array:
        """(n, K) int64: the values of n images, independent and uniform."""
        return np.stack([key.at(name).integers(count, n) for name, count in self.sizes.items()], 1)

    def images(self, values: Array) -> Array:
        """The images of values (n, K): (n, side, side, 1) float32 in [0, 1]. Raises DataError on a value that there is not."""
        counts = np.array(list(self.sizes.values()))
        if values.ndim != 2 or values.shape[1] != len(counts) or (values < 0).any() or (values >= counts).any():
            raise DataError(f"factors are (n, {len(counts)}) integers below {counts.tolist()}, got {values.shape}")
        character, size, slant, dx, dy = values.T
        still = np.zeros(len(values), np.int64)
        return self._glyphs().render(
            {
                "character": character,
                "face": still,
                "weight": still,
                "slant": _on(slant, SLANTS, *SLANT),
                "size": self.side * _on(size, SIZES, *SIZE),
                "thickness": np.zeros(len(values)),
                "dx": self.side * _on(dx, PLACES, -FARTHEST, FARTHEST),
                "dy": self.side * _on(dy, PLACES, -FARTHEST, FARTHEST),
            }
        )


def _on(column: Array, count: int, low: float, high: float) -> Array:
    """Values 0 .. count - 1, spread evenly from `low` to `high`."""
    return low + (high - low) * column / (count - 1)


ROWS: dict[str, int | str] = {"train": 20_000, "test": 2_000}


def _load(
    split: str, folder: Path | None, size: int = 28, characters: str = CHARACTERS, seed: int = 0, rows: int | None = None
) -> Dataset:
    source = GlyphFactors(size, characters)
    values = source.draw(int(ROWS[split]) if rows is None else rows, Key(seed).at("glyph_factors", split))
    images = np.empty((len(values), size, size, 1), np.uint8)
    for start in range(0, len(values), CHUNK):
        images[start : start + CHUNK] = source.images(values[start : start + CHUNK]) * 255 + 0.5
    factors = dict(zip(source.sizes, values.T, strict=True))
    return Dataset("glyph_factors", images, factors["character"], factors, split, tuple(characters))


register(
    Entry(
        name="glyph_factors",
        about="three digits, five independent factors on a grid",
        shape=(28, 28, 1),
        rows=ROWS,
        source="drawn from the fonts that matplotlib carries",
        licence="free: the DejaVu fonts",
        built_in=True,
        loader=_load,
    )
)
