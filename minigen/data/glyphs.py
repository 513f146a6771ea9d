"""Glyphs, the built-in data: digits and letters drawn from the fonts of matplotlib, with known factors, endless and seeded.

Image i of a key is a pure function of (key, i, options), however many are drawn and in which order:

    glyphs = Glyphs(Key(0), characters="ABC", colour=True)
    factors = glyphs.factors(range(1000))
    images = glyphs.render(factors)                                          # (1000, 28, 28, 3) float32 in [0, 1]
    shifted = glyphs.render(factors | {"dx": factors["dx"] + 1})             # one factor changed, all others kept

Legend: B images, H = W = size.
"""

from __future__ import annotations

import string
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..backend import Array
from ..random import Key
from . import glyph_shapes
from .binarise import binarised
from .dataset import DataError, Dataset
from .glyph_drawing import cover, hsv_to_rgb
from .registry import Entry, register

CHUNK = 256  # images share one draw in chunks of this many, so that image i costs no draw of all before it
_DRAWS = "character", "face", "weight", "slant", "size", "thickness", "dx", "dy", "hue", "background_hue"

SLANT = -0.1, 0.35  # the tangent of the angle, positive to the right
CAPITAL = 0.50, 0.72  # the height of a capital, as a part of the image's
THICKNESS = 0.0, 0.022  # what the stroke gains on each side, as a part of the image's height
MARGIN = 1.5  # pixels that stay empty around a glyph
FARTHEST = 0.12  # the largest |dx| and |dy|, as a part of the image's height


@dataclass(frozen=True)
class Glyphs:
    """An endless source of glyphs. `characters` are the classes, in this order; `size` is the side of the image in pixels.

    Raises DataError on a repeated character, one that a face does not have, and a size below 16.
    """

    key: Key
    characters: str = string.digits
    size: int = 28
    colour: bool = False

    def __post_init__(self) -> None:
        if not self.characters or len(set(self.characters)) != len(self.characters):
            raise DataError(f"characters {self.characters!r} must be at least one, and none of them twice")
        if self.size < 16:
            raise DataError(f"glyphs of {self.size} pixels cannot be read: choose a size of at least 16")

    def factors(self, indices: Any) -> dict[str, Array]:
        """What makes the images at `indices` (B,), by name, each (B,). Lengths are in pixels.

        character: int64, into `characters`; face: int64, into `glyph_shapes.FACES`; weight: int64, 1 for bold, if any;
        slant: the tangent of the lean, to the right; size: the height of a capital; thickness: what the stroke gains on each
        side; dx, dy: from the middle of the image to that of the glyph's box, right and down; hue, background_hue (in colour
        only): in turns, red at 0.
        """
        u = dict(zip(_DRAWS, self._uniforms(np.asarray(indices, np.int64)).T, strict=True))  # (B,) each, in [0, 1)
        side = self.size
        character = (u["character"] * len(self.characters)).astype(np.int64)
        face = (u["face"] * len(glyph_shapes.FACES)).astype(np.int64)
        has_bold = np.array([face.bold is not None for face in glyph_shapes.FACES])
        weight = ((u["weight"] < 0.5) & has_bold[face]).astype(np.int64)
        slant = _between(SLANT, u["slant"])
        thickness = _between(THICKNESS, u["thickness"]) * side
        size = _between(CAPITAL, u["size"]) * side
        # The box of the slanted, thickened glyph, and the largest size at which it fits: a wide letter is drawn smaller.
        width, height = self._boxes(character, face, weight)  # (B,) at size 1
        lean = slant - np.array([face.lean for face in glyph_shapes.FACES])[face]
        width = width + np.abs(lean) * height
        room = side - 2 * (MARGIN + np.maximum(thickness, 0))
        size = np.minimum(size, room / np.maximum(width, height))
        slack_x, slack_y = (np.minimum((room - extent * size) / 2, FARTHEST * side) for extent in (width, height))
        values = {
            "character": character,
            "face": face,
            "weight": weight,
            "slant": slant,
            "size": size,
            "thickness": thickness,
            "dx": slack_x * (2 * u["dx"] - 1),
            "dy": slack_y * (2 * u["dy"] - 1),
        }
        return values | ({name: u[name] for name in ("hue", "background_hue")} if self.colour else {})

    def render(self, factors: Mapping[str, Array]) -> Array:
        """The images of `factors`, (B, H, W, 1) or in colour (B, H, W, 3), float32 in [0, 1].

        The ink is 1 on 0, or a bright hue on a dark one. Factors may leave their usual ranges; what leaves the image is cut.
        """
        shapes, which = self._shapes(factors["character"], factors["face"], factors["weight"])
        fields = np.array([shape.field for shape in shapes], np.float32)  # (K, G, G)
        lean = factors["slant"] - np.array([face.lean for face in glyph_shapes.FACES])[factors["face"]]
        ink = cover(fields, which, lean, *(factors[name] for name in ("size", "thickness", "dx", "dy")), side=self.size)
        if not self.colour:
            return ink[..., None]
        front = hsv_to_rgb(factors["hue"], 0.55, 1.0)[:, None, None, :]  # (B, 1, 1, 3)
        back = hsv_to_rgb(factors["background_hue"], 0.75, 0.3)[:, None, None, :]
        coloured: Array = back + ink[..., None] * (front - back)  # (B, H, W, 3)
        return coloured

    def images(self, indices: Any) -> Array:
        """The images at `indices` (B,): `render(factors(indices))`."""
        return self.render(self.factors(indices))

    def dataset(self, rows: int, *, name: str = "glyphs", split: str = "train") -> Dataset:
        """The first `rows` images as a finite data set, rounded to uint8 as a photograph would be."""
        factors = self.factors(np.arange(rows))
        images = np.empty((rows, self.size, self.size, 3 if self.colour else 1), np.uint8)
        for start in range(0, rows, CHUNK):
            part = slice(start, start + CHUNK)
            drawn = self.render({name: column[part] for name, column in factors.items()})
            images[part] = drawn * 255 + 0.5
        return Dataset(name, images, factors["character"], factors, split, tuple(self.characters))

    # ---- parts

    def _uniforms(self, indices: Array) -> Array:
        """(B,) -> (B, draws) float64: row i % CHUNK of the draw of chunk i // CHUNK."""
        if indices.size and indices.min() < 0:
            raise IndexError(f"glyph {indices.min()}: images are numbered from 0")
        u = np.empty((indices.size, len(_DRAWS)))
        chunks = indices // CHUNK
        for chunk in np.unique(chunks):
            mine = chunks == chunk
            drawn = self.key.at("glyphs", int(chunk)).uniform((CHUNK, len(_DRAWS)), np.float64)
            u[mine] = drawn[indices[mine] % CHUNK]
        return u

    def _shapes(self, character: Array, face: Array, weight: Array) -> tuple[list[glyph_shapes.Shape], Array]:
        """The different shapes that occur, and which of them each image uses, (B,)."""
        triples, which = np.unique(np.stack((character, face, weight), 1), axis=0, return_inverse=True)
        shapes = [glyph_shapes.shape(self.characters[c], int(f), bool(w)) for c, f, w in triples]
        return shapes, which.reshape(-1)

    def _boxes(self, character: Array, face: Array, weight: Array) -> tuple[Array, Array]:
        shapes, which = self._shapes(character, face, weight)
        boxes = np.array([(shape.width, shape.height) for shape in shapes]).reshape(-1, 2)
        return boxes[which, 0], boxes[which, 1]


def _between(bounds: tuple[float, float], u: Array) -> Array:
    return bounds[0] + (bounds[1] - bounds[0]) * u


# ---- the finite data sets

ROWS = {"train": 20_000, "test": 2_000}


def _register(name: str, about: str, characters: str, colour: bool = False) -> None:
    def loader(
        split: str,
        folder: Path | None,
        size: int = 28,
        characters: str = characters,
        colour: bool = colour,
        seed: int = 0,
        rows: int | None = None,
        binarise: str | None = None,
    ) -> Dataset:
        glyphs = Glyphs(Key(seed).at(split), characters, size, colour)
        drawn = glyphs.dataset(ROWS[split] if rows is None else rows, name=name, split=split)
        return drawn if binarise is None else binarised(drawn, binarise, seed)

    register(
        Entry(
            name=name,
            about=about,
            shape=(28, 28, 3 if colour else 1),
            rows=dict(ROWS),
            source="drawn from the fonts that matplotlib carries",
            licence="free: the DejaVu, STIX and BaKoMa Computer Modern fonts",
            built_in=True,
            loader=loader,
        )
    )


_register("glyphs", "digits in nine faces, grey", string.digits)
_register("glyphs_colour", "digits in nine faces, a bright hue on a dark one", string.digits, colour=True)
_register("glyphs_letters", "small and capital letters in nine faces, grey", string.ascii_letters)
