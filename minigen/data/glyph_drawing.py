"""Drawing distance fields: every pixel asks the field how far inside the stroke it lies.

Legend: B images of side `side`, K fields of G x G places.
"""

from __future__ import annotations

import numpy as np

from ..backend import Array
from .glyph_shapes import GRID, REACH

_PART = 128  # images drawn at a time: their temporary arrays stay within a core's cache


def cover(fields: Array, which: Array, lean: Array, size: Array, thickness: Array, dx: Array, dy: Array, *, side: int) -> Array:
    """How much of each pixel is ink, (B, side, side) float32 in [0, 1].

    fields: (K, G, G); all others (B,): `which` field, `lean` the shear to the right per unit of height, the rest in pixels.
    The pixel at (x, y) from the middle of the glyph asks at  (x + lean y, y) / size  (y points down, so a glyph leans right
    where its upper part, y < 0, is taken from further left). Ink is 1/2 on the edge of the stroke and falls over one pixel.
    """
    numbers = [np.asarray(v, np.float32) for v in (lean, size, thickness, dx, dy)]
    ink = np.empty((len(which), side, side), np.float32)
    middle = np.arange(side, dtype=np.float32) - np.float32((side - 1) / 2)  # (side,)
    for start in range(0, len(which), _PART):
        part = slice(start, start + _PART)
        shear, scale, gain, right, down = (v[part, None, None] for v in numbers)  # (b, 1, 1)
        y = middle[:, None] - down  # (b, side, 1)
        x = middle[None, :] - right + shear * y  # (b, side, side)
        distance = sample(fields, which[part], x / scale, y / scale) * scale  # pixels
        np.clip(distance + gain + np.float32(0.5), 0, 1, out=ink[part])
    return ink


def sample(fields: Array, which: Array, x: Array, y: Array) -> Array:
    """The fields `which` (b,) at (x, y), by bilinear interpolation; outside a field, the value at its border.

    x: (b, n, n), y: (b, n, 1), where -REACH .. REACH is the field -> (b, n, n).
    """
    column, u = _place(x)  # (b, n, n)
    row, v = _place(y)  # (b, n, 1)
    flat = fields.reshape(-1)
    at = (which[:, None, None] * GRID + row) * GRID + column  # of the upper left neighbour
    upper = flat[at] * (1 - u) + flat[at + 1] * u
    lower = flat[at + GRID] * (1 - u) + flat[at + GRID + 1] * u
    between: Array = upper * (1 - v) + lower * v
    return between


def _place(x: Array) -> tuple[Array, Array]:
    """Coordinates -> the neighbour before and the part of the way to the next, in [0, 1]."""
    place = np.clip((x / REACH + 1) * (GRID / 2) - np.float32(0.5), 0, GRID - 1)
    before = np.minimum(place.astype(np.int64), GRID - 2)
    return before, (place - before).astype(np.float32)


def hsv_to_rgb(hue: Array, saturation: float, value: float) -> Array:
    """(B,) hues in turns -> (B, 3) float32 colours: value times 1 - saturation (1 - the hue's share of red, green and blue)."""
    turns = np.asarray(hue, np.float32)[:, None] + np.array([0, 2 / 3, 1 / 3], np.float32)  # (B, 3)
    share = np.clip(np.abs((turns % 1) * 6 - 3) - 1, 0, 1)
    rgb: Array = value * (1 - saturation * (1 - share))
    return rgb.astype(np.float32)
