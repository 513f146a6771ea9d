"""Figures held against what is published: reproduce, report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .app import DataDir, Device, Precision, app


@app.command()
def reproduce(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="A reproduction. [default: list all]")] = None,
    budget: Annotated[str, typer.Option(help="quick (minutes), cpu (an hour at most) or gpu (as published).")] = "quick",
    seeds: Annotated[int, typer.Option(help="How many: 0, 1, ...")] = 1,
    minutes: Annotated[float | None, typer.Option(help="Stop after so long; the same command goes on.")] = None,
    now: Annotated[bool, typer.Option("--now", help="Judge every run as it stands.")] = False,
    data_dir: DataDir = None,
    device: Device = "cpu",
    precision: Precision = "float32",
) -> None:
    """Train a model by its recipe, judge it by its protocol, and write the figure beside the published one.

    It is resumable: a call that was stopped goes on when it is made again. Results go to benchmarks/results/NAME.json.

    \b
    minigen reproduce vae
    minigen reproduce iwae --budget cpu --minutes 20
    """
    from ..reproduce import RECIPES, running
    from ..training.report import columns

    if name is None:
        header = ("name", "model", "data", "updates: quick, cpu, gpu", "published")
        table = [
            (key, r.model, r.data, ", ".join(f"{n:,}" for n in r.steps), f"{r.published.value:g}" if r.published else "")
            for key, r in RECIPES.items()
        ]
        print(columns([header, *table]))
        return
    running.reproduce(
        name, budget=budget, seeds=seeds, data_dir=data_dir, minutes=minutes, now=now, device=device, precision=precision
    )


@app.command()
def report(
    results: Annotated[Path, typer.Option(help="The folder of the result files.")] = Path("benchmarks/results"),
    out: Annotated[Path, typer.Option(help="The page.")] = Path("RESULTS.md"),
) -> None:
    """Build RESULTS.md from the result files: one row for every model, beside what is published."""
    from ..reproduce import report as write

    print(write(results, out))
