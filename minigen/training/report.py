"""What a run says at its start and its end, and a proof of its gradients, as plain text."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from ..check import Row
from .evaluation import Figures
from .loop import Outcome, last_verdict
from .run import Run
from .settings import in_precision, shown
from .setup import thread_count


def summary(run: Run) -> str:
    """Model, data, steps, machine and folder, a line each."""
    settings, train, test = run.settings, run.splits.train, run.splits.test
    networks = {name: sum(array.size for _, array in net.named(name)) for name, net in run.model.nets.items()}
    options = ", ".join(f"{key} {shown(value)}" for key, value in settings.options.items())
    epochs = settings.steps / run.batches.per_epoch
    rows = [
        ("model", f"{settings.model}: {options}" if options else settings.model),
        ("parameters", f"{run.model.vector.size:,} ({', '.join(f'{name} {n:,}' for name, n in networks.items())})"),
        ("data", f"{settings.data}: {len(train):,} rows to learn from, {len(test):,} held out, {_shape(train.shape)} each"),
        (
            "steps",
            f"{settings.steps:,} of {settings.batch} rows ({epochs:.3g} epochs), rate {settings.rate:g}, seed {settings.seed}",
        ),
        ("device", _device(run)),
        ("folder", str(run.folder)),
    ]
    if run.step:
        rows.append(("goes on", f"after step {run.step:,}"))
    return columns(rows + [("note", note) for note in run.notes])


def closing(run: Run, outcome: Outcome) -> str:
    """How it ended, the figures of the test split, and where to look."""
    settings, game = run.settings, last_verdict(run)
    if outcome.why != "finished":
        cause = "the time is over" if outcome.why == "minutes" else outcome.why
        return (
            f"Stopped after step {outcome.step:,} of {settings.steps:,} ({cause}), and saved. Go on with\n"
            f"  minigen train {settings.model} --resume --out {run.folder}"
        )
    lines = [f"Finished {outcome.step:,} steps{in_precision(settings.precision)}."]
    if outcome.figures is not None:
        lines.append(figures_table(outcome.figures, run.model.unit, f"the test split of {settings.data}"))
    if game is not None:
        lines.append(f"The game: {game}.")
    lines.append(f"Pictures: {run.folder / 'samples'}. Curves: {run.folder / 'curves.png'}.")
    return "\n".join(lines)


def figures_table(figures: Figures, unit: str, of: str) -> str:
    """The figures with their standard errors and unit, a line each."""
    rows = [(name.replace("_", " "), _with_error(value, figures.errors[name]), unit) for name, value in figures.values.items()]
    stated = in_precision(figures.precision)
    return f"{figures.rows:,} rows of {of}, means and their standard errors{stated}:\n" + columns(rows, indent="  ")


def proof_table(name: str, rows: Sequence[Row], *, proved: bool) -> str:
    """The relative errors of a model's gradients: a line for each objective and parameter, a column for each method."""
    methods = list(dict.fromkeys(row.method for row in rows))
    errors: dict[tuple[str, str], dict[str, float]] = {(row.objective, row.parameter): {} for row in rows}
    for row in rows:
        errors[row.objective, row.parameter][row.method] = row.rel_error
    lines = [(*place, *(f"{found.get(m, math.nan):.1e}" for m in methods)) for place, found in errors.items()]
    table = columns([("objective", "parameter", *methods), *lines], indent="  ")
    end = f"\n  proved: {len(lines)} gradients\n" if proved else ""
    return f"{name}: relative errors of the hand-written gradients\n{table}{end}"


def columns(rows: Iterable[Sequence[Any]], indent: str = "") -> str:
    """Rows of text in columns that are as wide as they must be."""
    table = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in table)
    return "\n".join((indent + line).rstrip() for line in lines)


def _with_error(value: float, error: float | None) -> str:
    """157.46 +- 0.89: the error to two digits, the value to the same place."""
    if not error:
        return f"{value:.6g}"
    digits = min(12, max(0, 1 - math.floor(math.log10(error))))
    return f"{value:.{digits}f} +- {error:.{digits}f}"


def _shape(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))


def _device(run: Run) -> str:
    """Where it runs, and how its steps do."""
    if run.settings.device == "cpu":
        return f"cpu, {thread_count()} threads"
    why = run.model.uncaptured
    how = "each step captured as one graph" if why is None else f"not captured: {why}"
    return f"{run.settings.device}, products in {run.settings.precision}, {how}"
