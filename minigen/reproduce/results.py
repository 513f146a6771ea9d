"""RESULTS.md, from the result files alone: one row for every model, ours beside what is published, misses included.

The text is a function of the files: a test builds it again and compares, so no number can stand in it that no file holds.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from .. import models
from ..metrics.figure import Figure
from ..training.errors import RunError
from ..training.files import write_atomic
from ..training.settings import in_precision, precision_of
from . import curves
from .recipes import RECIPES
from .running import PICTURES, RESULTS

PAGE, MORE = Path("RESULTS.md"), 6  # figures beside the first that a line of details has room for
OPENING = """# Results

Every model of minigen, trained and judged by one command each, beside what is published. The page is built by `minigen report`
from the files in `benchmarks/results`, and a test builds it again.

**How to read it.** *Ours* stands with its interval of 95 %: over the seeds where there are several, else over the rows it is a
mean of. *Kind* says what the number is: **exact** (of these rows it could not be otherwise), a **bound** (the truth is on the
better side of it), or an **estimate** (it varies with the samples it was made of). *Gap* is ours less the published one; a
**bold** gap is a miss. *Budget* says what the figure got: an hour on two cores is not what the published models were given, and
a row says so by its updates. `quick` runs take minutes, and are there so that every row has a number.
"""
HOW_FAR = """The held-out figure of the runs whose log has one, over their updates, on up to 1,000 rows; dashed is the published
one. A curve that still falls was stopped by its budget. That of a VAE is its own bound, and ends above the table's figure."""


def load_all(results: Path) -> dict[str, dict[str, Any]]:
    """The result files of reproductions that are there, by name. Raises RunError where the folder is missing."""
    if not results.is_dir():
        raise RunError(f"{results} is no folder: run this where the project's folder is, or name one with --results")
    found = {}
    for name in RECIPES:
        path = results / f"{name}.json"
        if path.exists():
            found[name] = json.loads(path.read_text())
    return found


def page(found: dict[str, dict[str, Any]], pictures: Path | None = PICTURES) -> str:
    """The whole of RESULTS.md."""
    names = [*found, *(name for name in RECIPES if name not in found)]
    names.sort(key=list(RECIPES).index)
    missing = [name for name in models.names() if not any(RECIPES[known].model == name for known in RECIPES)]
    lines = [
        OPENING,
        "| model | data | figure | ours | kind | published | gap | budget |",
        "|---|---|---|---|---|---|---|---|",
        *(row(name, found.get(name)) for name in names),
        *(row(name, None) for name in missing),
        "",
        "## What each row is",
        "",
        *(line for name in names if name in found for line in details(found[name])),
    ]
    if pictures is not None and curves.with_curves(found) and (pictures / curves.NAME).exists():
        lines += [
            "",
            "## How far they came",
            "",
            HOW_FAR,
            "",
            f"![held-out figures over the updates](docs/results/{curves.NAME})",
        ]
    shown = [name for name in names if pictures is not None and (pictures / f"{name}.png").exists()]
    if shown:
        lines += ["", "## What they draw", "", "The last picture of each run above, chosen by nobody.", ""]
        for name in shown:
            lines += [f"**{name}**, {found[name]['updates']:,} updates\n" if name in found else f"**{name}**\n"]
            lines += [f"![samples of {name}](docs/results/{name}.png)", ""]
    return "\n".join(lines).rstrip() + "\n"


def row(name: str, result: dict[str, Any] | None) -> str:
    """One row of the table."""
    if result is None:
        return f"| `{name}` | | | not run | | | | `minigen reproduce {name}` |"
    figure, published = Figure.of_json(result["figures"][0]), result["published"]
    digits = digits_of(figure)
    ours = f"{figure.value:.{digits}f}{_between(figure, digits)} {figure.unit}"
    against, gap = "none", ""
    if published is not None:
        against = f"{published['value']:g}, {published['source']}"
        missed = result["gap"] > 0 if published["better"] == "lower" else result["gap"] < 0
        gap = f"{result['gap']:+.{digits or 1}f}"  # a mean of counts has a decimal, even where a count has none
        gap = f"**{gap}**" if missed else gap
    seeds = len(result["seeds"])
    minutes = sum(result["train_seconds"]) / 60
    updates = f"{result['updates']:,} updates{in_precision(precision_of(result['settings']))}"
    budget = f"{result['budget']}: {updates}, {seeds} seed{'s' if seeds > 1 else ''}, {minutes:.1f} min"
    name_of = figure.name.replace("_", " ")
    return f"| `{name}` | {result['data']} | {name_of} | {ours} | {figure.kind} | {against} | {gap} | {budget} |"


def details(result: dict[str, Any]) -> list[str]:
    """How a row was measured, its other figures, and the command."""
    first, *others = (Figure.of_json(values) for values in result["figures"])
    lines = [f"- **{result['name']}**: {first.protocol}."]
    if result["updates"] < result["steps_asked"]:
        lines[0] += f" Judged as it stood after {result['updates']:,} of {result['steps_asked']:,} updates."
    if result["note"]:
        lines[0] += f" {result['note'][0].upper()}{result['note'][1:]}."
    if len(result["by_seed"]) > 1:
        lines[0] += f" By seed: {', '.join(f'{value:.{digits_of(first)}f}' for value in result['by_seed'])}."
    for figure in others[:MORE]:
        digits = digits_of(figure)
        lines[0] += (
            f" {figure.name[0].upper()}{figure.name[1:]}: {figure.value:.{digits}f}{_between(figure, digits)} {figure.unit}."
        )
    lines[0] += f" `{result['command']}`"
    return lines


def digits_of(figure: Figure) -> int:
    """The decimals that the interval supports: two figures of it. Without one three figures of the value; none of a count."""
    if figure.interval is None and float(figure.value).is_integer():
        return 0
    spread = None if figure.interval is None else (figure.interval[1] - figure.interval[0]) / 2
    size = spread if spread else abs(figure.value) / 10
    if not size or not math.isfinite(size):
        return 2
    return int(min(6, max(0, 1 - math.floor(math.log10(size) + 1e-9))))


def _between(figure: Figure, digits: int) -> str:
    if figure.interval is None:
        return ""
    low, high = figure.interval
    if abs((low + high) / 2 - figure.value) <= 1e-9 * max(1.0, abs(figure.value)):
        return f" ± {(high - low) / 2:.{digits}f}"
    return f" [{low:.{digits}f}, {high:.{digits}f}]"


def report(results: Path = RESULTS, out: Path = PAGE, pictures: Path = PICTURES) -> Path:
    """Writes RESULTS.md and the picture of the curves. Raises RunError where there are no results."""
    found = load_all(results)
    curves.draw(found, pictures)
    write_atomic(out, page(found, pictures).encode())
    return out
