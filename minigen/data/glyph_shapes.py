"""The shape of a character in a face, as a signed distance field made once from its outline.

matplotlib carries the fonts. A distance field is what makes drawing cheap later: one number per place, how far inside the
stroke it lies, from which any size, any slant and any thickness follow with a smooth edge (C. Green 2007, "Improved
alpha-tested magnification for vector textures and special effects").

The unit of length is the height of the face's capital H, so that one size means the same in every face. y points down.
Legend: S straight pieces of an outline, G places along one side of the field.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..backend import Array
from .dataset import DataError

GRID = 64  # G
REACH = 1.0  # the field covers -REACH .. REACH, the middle of the character's box at 0
_EM = 200.0  # pixels per em at which outlines are read; FreeType rounds them to 1/64 pixel


class Face(NamedTuple):
    """A family of letters: its files without the ending, and how far it leans by itself (the tangent of the angle)."""

    name: str
    regular: str
    bold: str | None
    lean: float = 0.0


FACES = (
    Face("sans", "DejaVuSans", "DejaVuSans-Bold"),
    Face("serif", "DejaVuSerif", "DejaVuSerif-Bold"),
    Face("serif italic", "DejaVuSerif-Italic", "DejaVuSerif-BoldItalic", 0.19),
    Face("mono", "DejaVuSansMono", "DejaVuSansMono-Bold"),
    Face("times", "STIXGeneral", "STIXGeneralBol"),
    Face("times italic", "STIXGeneralItalic", "STIXGeneralBolIta", 0.28),
    Face("roman", "cmr10", "cmb10"),
    Face("roman sans", "cmss10", None),
    Face("typewriter", "cmtt10", None),
)


class Shape(NamedTuple):
    """One character of one face."""

    field: Array  # (G, G) float32: the distance to the outline, positive inside the stroke
    width: float  # of its box, in heights of the capital H
    height: float


@cache
def shape(character: str, face: int, bold: bool) -> Shape:
    """The shape of `character`; DataError where the face does not have it. Kept in memory once made."""
    outline = _outline(_font_file(face, bold), character)  # (S, 2, 2)
    low, high = outline.min((0, 1)), outline.max((0, 1))  # (2,) x, y
    width, height = (float(v) for v in high - low)
    if max(width, height) > 1.6 * REACH:  # beyond its border a field is constant: it must be well outside the stroke
        raise DataError(f"character {character!r} is too large for an image of a glyph: choose letters, digits or signs")
    return Shape(signed_distance(outline - (low + high) / 2), width, height)


def signed_distance(outline: Array) -> Array:
    """(S, 2, 2), pieces from (x, y) to (x, y) -> (G, G) float32: the distance to the nearest, positive where they wind."""
    along = ((np.arange(GRID) + 0.5) / GRID * 2 - 1) * REACH
    x, y = along[None, :], along[:, None]  # (1, G), (G, 1)
    nearest = np.full((GRID, GRID), np.inf)  # squared
    winding = np.zeros((GRID, GRID), np.int32)
    for (ax, ay), (bx, by) in outline:
        ex, ey = bx - ax, by - ay
        length2 = ex * ex + ey * ey
        if length2 == 0:
            continue
        t = np.clip(((x - ax) * ex + (y - ay) * ey) / length2, 0, 1)  # the nearest place of the piece, 0 at a, 1 at b
        np.minimum(nearest, (x - ax - t * ex) ** 2 + (y - ay - t * ey) ** 2, out=nearest)
        # The ray from (x, y) to the right is crossed by the pieces that pass its height, upwards or downwards.
        if ey != 0:
            passes = (y >= min(ay, by)) & (y < max(ay, by))  # (G, 1)
            winding += (passes & (ax + (y - ay) / ey * ex > x)) * (1 if ey > 0 else -1)
    distance: Array = np.where(winding != 0, 1, -1) * np.sqrt(nearest)
    return distance.astype(np.float32)


# ---- reading fonts; matplotlib is imported here and nowhere else


def _font_file(face: int, bold: bool) -> str:
    files = FACES[face]
    return files.bold if bold and files.bold is not None else files.regular


@cache
def _font(file: str) -> Any:
    import matplotlib
    from matplotlib.ft2font import FT2Font

    font = FT2Font(str(Path(matplotlib.get_data_path(), "fonts", "ttf", file + ".ttf")))
    font.set_size(_EM, 72)  # at 72 dots per inch a point is a pixel
    return font


@cache
def _capital_height(file: str) -> float:
    polygons = _polygons(file, "H")
    return float(max(p[:, 1].max() for p in polygons))


def _polygons(file: str, character: str) -> list[Array]:
    """The closed outlines of a character, (V, 2) each, in pixels, y upwards; curves become short straight pieces."""
    from matplotlib import ft2font
    from matplotlib.path import Path as Outline

    font = _font(file)
    if ord(character) not in font.get_charmap():
        raise DataError(f"the face {file} has no character {character!r}: leave it out")
    # matplotlib 3.10 turned the flags into an enumeration.
    no_hinting: Any = ft2font.LoadFlags.NO_HINTING if hasattr(ft2font, "LoadFlags") else vars(ft2font)["LOAD_NO_HINTING"]
    font.load_char(ord(character), flags=no_hinting)
    vertices, codes = font.get_path()
    polygons = Outline(vertices, codes).to_polygons(closed_only=True) if len(vertices) else []
    if not polygons:
        raise DataError(f"character {character!r} draws nothing: leave it out")
    return [np.asarray(p) for p in polygons]


def _outline(file: str, character: str) -> Array:
    """(S, 2, 2) float64: the straight pieces in heights of the capital H, y downwards."""
    pieces = [np.stack((p[:-1], p[1:]), 1) for p in _polygons(file, character)]  # (V - 1, 2, 2) each; p is closed
    return np.concatenate(pieces) * (np.array([1.0, -1.0]) / _capital_height(file))
