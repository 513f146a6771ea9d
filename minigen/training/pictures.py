"""Grids of images, as PNG files that can be looked at: tiles apart from each other, small images enlarged by whole pixels."""

from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np

from ..backend import Array, to_device
from .errors import NotFiniteRunError
from .files import write_atomic

WIDTH = 720  # pixels that a picture should about have
GAP = 0.08  # between tiles, as a part of a tile's side
PAPER = 236  # the grey between tiles: neither black nor white, so that tiles of both show their edges


def save_grid(path: Path, grid: Array) -> None:
    """Writes a grid of images (rows, columns, H, W, C) in [0, 1] to `path`, a PNG, in one move."""
    from PIL import Image

    buffer = io.BytesIO()
    sheet = draw_grid(grid)
    Image.fromarray(sheet if sheet.shape[-1] == 3 else sheet[..., 0]).save(buffer, "png")
    write_atomic(path, buffer.getvalue())


def draw_grid(grid: Array) -> Array:
    """(rows, columns, H, W, C) in [0, 1], C 1 or 3 -> (height, width, C) uint8. Raises NotFiniteRunError on a NaN."""
    tiles = to_device(grid, "cpu")
    if tiles.ndim != 5 or tiles.shape[-1] not in (1, 3):
        raise ValueError(f"a grid of images has shape (rows, columns, H, W, 1 or 3), not {tiles.shape}")
    if not np.isfinite(tiles).all():
        raise NotFiniteRunError("a picture of the model holds values that are not finite")
    rows, columns, H, W, C = tiles.shape
    scale = max(1, round(WIDTH / (columns * W * (1 + GAP))))
    gap = max(1, round(GAP * W * scale))
    pixels = (tiles.clip(0, 1) * 255 + 0.5).astype(np.uint8).repeat(scale, 2).repeat(scale, 3)
    sheet = np.full((gap + rows * (H * scale + gap), gap + columns * (W * scale + gap), C), PAPER, np.uint8)
    for i in range(rows):
        for j in range(columns):
            top, left = gap + i * (H * scale + gap), gap + j * (W * scale + gap)
            sheet[top : top + H * scale, left : left + W * scale] = pixels[i, j]
    return sheet


def as_grid(rows: Array) -> Array:
    """Images (n, H, W, C) -> a grid that is about square, its last row filled up with 0.5.

    Points (n, 2) -> a grid of one image, their `density`. Raises ValueError on rows of another kind.
    """
    if rows.ndim == 2 and rows.shape[1] == 2:
        return density(rows)[None, None]
    if rows.ndim != 4:
        raise ValueError(f"rows of shape {rows.shape[1:]} are neither images nor points in the plane")
    images = to_device(rows, "cpu")
    n = len(images)
    columns = math.ceil(math.sqrt(n))
    height = math.ceil(n / columns)
    full = np.full((height * columns, *images.shape[1:]), 0.5, images.dtype)
    full[:n] = images
    grid: Array = full.reshape(height, columns, *images.shape[1:])
    return grid


def density(points: Array, side: int = 240) -> Array:
    """Points (n, 2) -> an image (side, side, 1) of how many fall on each pixel: white is none, black many. y points upwards.

    It shows the square around all but the outermost thousandth of them.
    """
    points = to_device(points, "cpu").astype(np.float64)
    low, high = np.quantile(points, (0.0005, 0.9995), axis=0)  # (2,), (2,)
    middle, reach = (low + high) / 2, 0.55 * max(float((high - low).max()), 1e-9)
    x, y = ((points - middle) / reach).T  # (n,) each, in [-1, 1]
    counts, _, _ = np.histogram2d(-y, x, bins=side, range=((-1, 1), (-1, 1)))
    seen = counts[counts > 0]
    full = np.quantile(seen, 0.95) if seen.size else 1.0
    image: Array = 1 - np.sqrt(np.minimum(counts / full, 1))[..., None]  # the root: a pixel with few points still shows
    return image
