"""Drawings of a field in the plane: arrows over the points that it moves, as panels of a run's picture or on axes of a lesson.

n points (n, 2); S side of a panel in pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..backend import Array, device_of, to_device

ARROWS = 17  # on a side
INK, CLOUD = "#b03a2e", "Blues"


def draw_field(axes: Any, field: Callable[[Array], Array], points: Array, extent: float, *, arrows: int = ARROWS) -> None:
    """Onto matplotlib's `axes`: how densely `points` lie, in blue, and `field`, (n, 2) -> (n, 2), as arrows in red.

    The square is [-extent, extent]^2. The longest arrows but a few reach from one place of the grid to the next; outside of
    the points, where no field was ever learned, arrows are faint.
    """
    device = device_of(points)
    points = to_device(points, "cpu")
    across = (-extent, extent)
    counts, _, _ = np.histogram2d(points[:, 0], points[:, 1], bins=90, range=(across, across))
    axes.imshow(np.sqrt(counts.T), origin="lower", extent=across * 2, cmap=CLOUD, interpolation="bilinear", vmin=0)
    step = 2 * extent / arrows
    places = np.stack(np.meshgrid(*(np.arange(arrows) * step - extent + step / 2,) * 2), 2).reshape(-1, 2)  # (arrows^2, 2)
    v = to_device(field(to_device(places.astype(points.dtype), device)), "cpu")
    length = np.sqrt((v**2).sum(1))
    near = _nearby(counts, places, extent)
    longest = np.quantile(length[near] if near.any() else length, 0.95) or 1.0
    v = v / np.maximum(length / longest, 1)[:, None] * (0.95 * step / longest)  # no arrow is longer than a step
    alpha = np.where(near, 0.9, 0.2)
    axes.quiver(*places.T, *v.T, color=INK, alpha=alpha, angles="xy", scale_units="xy", scale=1, width=0.005, pivot="mid")
    axes.set(xlim=across, ylim=across, xticks=(), yticks=())


def _nearby(counts: Array, places: Array, extent: float) -> Array:
    """Which places (k, 2) have a point within two cells of the histogram: (k,)."""
    bins, reach = len(counts), 2
    cells = np.clip(((places + extent) / (2 * extent) * bins).astype(int), 0, bins - 1)
    return np.array([counts[max(0, i - reach) : i + reach + 1, max(0, j - reach) : j + reach + 1].sum() > 0 for i, j in cells])


def field_panel(field: Callable[[Array], Array], points: Array, extent: float, label: str, side: int = 300) -> Array:
    """`draw_field` as an image (S, S, 3) in [0, 1], with a label in its corner."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(side / 100, side / 100), dpi=100)
    canvas: Any = FigureCanvasAgg(figure)  # draws without a screen
    axes = figure.add_axes((0, 0, 1, 1))
    draw_field(axes, field, points, extent)
    axes.set_axis_off()
    axes.text(0.03, 0.97, label, transform=axes.transAxes, va="top", fontsize=11)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].astype(np.float64) / 255
