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


def as_grid(images: Array) -> Array:
    """(n, H, W, C) -> a grid that is about square, its last row filled up with 0.5."""
    n = len(images)
    columns = math.ceil(math.sqrt(n))
    rows = math.ceil(n / columns)
    full = np.full((rows * columns, *images.shape[1:]), 0.5, images.dtype)
    full[:n] = to_device(images, "cpu")
    grid: Array = full.reshape(rows, columns, *images.shape[1:])
    return grid
