"""curves.png: how training went, one panel for each figure, drawn from the log alone."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from .files import write_atomic

TRAIN, HELD_OUT, INK = "#3b6fb6", "#d1602d", "#333333"
START = 0.05  # the part of the run that may leave a panel at its top: the first losses dwarf all that follows


def draw_curves(path: Path, lines: Iterable[Mapping[str, Any]], *, title: str, unit: str) -> None:
    """Writes the curves of a log's lines to `path`, a PNG, in one move."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    trained, held_out = _series(lines)
    names = list(dict.fromkeys((*held_out, *trained)))
    if not names:
        return
    columns = min(3, len(names))
    rows = math.ceil(len(names) / columns)
    figure = Figure(figsize=(4.2 * columns, 3.2 * rows + 0.5), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)  # draws without a screen
    figure.suptitle(title, color=INK, fontsize="large" if columns > 1 else "medium", wrap=True)
    for i, name in enumerate(names):
        axes = figure.add_subplot(rows, columns, i + 1)
        _panel(axes, name, trained.get(name, {}), held_out.get(name, {}), unit)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    write_atomic(path, buffer.getvalue())


def _series(lines: Iterable[Mapping[str, Any]]) -> tuple[dict[str, dict[int, float]], dict[str, dict[int, float]]]:
    """{name: {step: value}} of the training terms, and of the held-out figures."""
    trained: dict[str, dict[int, float]] = {}
    held_out: dict[str, dict[int, float]] = {}
    for line in lines:
        series, values = (trained, line["terms"]) if line["kind"] == "train" else (held_out, line["figures"])
        for name, value in values.items():
            series.setdefault(name, {})[line["step"]] = value
    return trained, held_out


def _panel(axes: Any, name: str, trained: Mapping[int, float], held_out: Mapping[int, float], unit: str) -> None:
    if trained:
        axes.plot(list(trained), list(trained.values()), color=TRAIN, linewidth=1, label="training")
    if held_out:
        axes.plot(list(held_out), list(held_out.values()), "o-", color=HELD_OUT, markersize=3, linewidth=1, label="held out")
    axes.set_title(name.replace("_", " "), fontsize=10, color=INK)
    axes.set_xlabel("step", fontsize=9)
    axes.set_ylabel(unit, fontsize=9)
    axes.tick_params(labelsize=8, colors=INK)
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=8, frameon=False)
    limits = _limits([*trained.items(), *held_out.items()])
    if limits is not None:
        axes.set_ylim(*limits)


def _limits(points: list[tuple[int, float]]) -> tuple[float, float] | None:
    """The range of the values after the start of the run, with a margin; None where nothing is left."""
    last = max(step for step, _ in points)
    values = [value for step, value in points if step >= START * last and math.isfinite(value)]
    low, high = min(values, default=0.0), max(values, default=0.0)
    margin = 0.08 * (high - low)
    return (low - margin, high + margin) if margin > 0 else None
