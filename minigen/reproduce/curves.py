"""How far training came: held-out figures over the updates, a panel for every result that has them, one picture."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any

from ..training.files import make_folder, write_atomic
from ..training.settings import in_precision, precision_of

NAME = "curves.png"
OURS, THEIRS, INK = "#d1602d", "#3b6fb6", "#333333"
LEAST = 3  # points: fewer are no curve
COLUMNS = 4


def with_curves(found: dict[str, dict[str, Any]]) -> list[str]:
    """The names of the results that have one."""
    return [name for name, result in found.items() if result.get("curve") and len(result["curve"]["values"]) >= LEAST]


def draw(found: dict[str, dict[str, Any]], pictures: Path) -> Path | None:
    """Writes the picture beside those of samples; None where there is nothing to draw."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    names = with_curves(found)
    if not names:
        return None
    columns = min(COLUMNS, len(names))
    rows = math.ceil(len(names) / columns)
    figure = Figure(figsize=(3.1 * columns, 2.5 * rows), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)  # draws without a screen
    for i, name in enumerate(names):
        _panel(figure.add_subplot(rows, columns, i + 1), name, found[name])
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    make_folder(pictures)
    write_atomic(pictures / NAME, buffer.getvalue())
    return pictures / NAME


def _panel(axes: Any, name: str, result: dict[str, Any]) -> None:
    """The curve, from its second point on: the first dwarfs what follows. Dashed is the published figure."""
    curve = result["curve"]
    axes.plot(curve["updates"][1:], curve["values"][1:], "o-", color=OURS, markersize=2.5, linewidth=1)
    if result["published"] is not None:
        axes.axhline(result["published"]["value"], color=THEIRS, linewidth=1, linestyle="--")
    axes.set_title(name + in_precision(precision_of(result["settings"])), fontsize=10, color=INK)
    axes.set_ylabel(result["figures"][0]["unit"], fontsize=8, color=INK)
    axes.set_xlabel("updates", fontsize=8, color=INK)
    axes.tick_params(labelsize=7, colors=INK)
    axes.xaxis.set_major_formatter(lambda updates, _: f"{updates / 1000:g}k" if updates >= 1000 else f"{updates:g}")
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
