"""From a recipe to a result file: the run, in slices if it has to be; the measurement; the record of both.

runs/reproduce/NAME-BUDGET-seedS/            the run, which goes on where it was stopped; in tf32 NAME-BUDGET-tf32-seedS/
runs/reproduce/NAME-BUDGET-seedS/judged.json what was measured, once it was
benchmarks/results/NAME.json                 the figures over all seeds, and what they took
docs/results/NAME.png                        its last samples
"""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..metrics.features import FeatureSpace
from ..metrics.figure import Figure, over_seeds
from ..random import Key
from ..training import log, setup
from ..training.errors import RunError
from ..training.files import make_folder, write_atomic
from ..training.ruler import ruler
from ..training.run import Run, load_model
from ..training.settings import in_precision, precision_of
from .recipes import RECIPES
from .reproduction import BUDGETS, Judged, Reproduction

RUNS, RESULTS, PICTURES = Path("runs/reproduce"), Path("benchmarks/results"), Path("docs/results")
JUDGED = "judged.json"
Say = Callable[[str], None]


class Place(NamedTuple):
    """Where things are written."""

    runs: Path = RUNS
    results: Path = RESULTS
    pictures: Path = PICTURES

    def run(self, name: str, budget: str, seed: int, precision: str = "float32") -> Path:
        """The folder of a run."""
        return self.runs / f"{name}-{budget}{'' if precision == 'float32' else f'-{precision}'}-seed{seed}"


HERE = Place()


def find(name: str) -> Reproduction:
    """The recipe. Raises RunError with the names there are."""
    if name not in RECIPES:
        raise RunError(f"there is no reproduction {name!r}: there are {', '.join(RECIPES)}")
    return RECIPES[name]


def reproduce(
    name: str,
    *,
    budget: str = "quick",
    seeds: int = 1,
    data_dir: Path | None = None,
    minutes: float | None = None,
    now: bool = False,
    device: str = "cpu",
    precision: str = "float32",
    place: Place = HERE,
    say: Say = print,
) -> dict[str, Any] | None:
    """Trains and judges `name` with seeds 0 .. seeds - 1; returns what stands in the result file, None if the time was over.

    A call that was stopped, or whose `minutes` were over, goes on when it is made again. `now` judges every run as it stands:
    the figure is quoted with the updates that it got. `device` is where it is trained, and `precision` what its products run
    in there, which each figure's protocol states; it is judged on the CPU, in float32, by a ruler trained in float32. Raises
    RunError, DataError.
    """
    setup.check_device(device, precision)
    if budget not in BUDGETS:
        raise RunError(f"unknown budget {budget!r}: there are {', '.join(BUDGETS)}")
    if seeds < 1:
        raise RunError(f"--seeds {seeds}: there must be at least one")
    recipe, judged = find(name), []
    deadline = None if minutes is None else time.monotonic() + 60 * minutes
    for seed in range(seeds):
        found = _judged(name, recipe, budget, seed, data_dir, deadline, now, device, precision, place, say)
        if found is None:
            return None
        judged.append(found)
    first = place.run(name, budget, 0, precision)
    curve = _curve(log.read(first / log.NAME), recipe.curve)
    result = _result(name, recipe, budget, judged, now, curve)
    make_folder(place.results)
    write_atomic(place.results / f"{name}.json", (json.dumps(result, indent=1) + "\n").encode())
    _keep_picture(name, first, place.pictures)
    say(said(result))
    return result


def _judged(
    name: str,
    recipe: Reproduction,
    budget: str,
    seed: int,
    data_dir: Path | None,
    deadline: float | None,
    now: bool,
    device: str,
    precision: str,
    place: Place,
    say: Say,
) -> dict[str, Any] | None:
    """The record of one seed: from its file, if the run has not moved since; None where the time is over."""
    folder = place.run(name, budget, seed, precision)
    wanted = {**recipe.settings(budget, seed, data_dir), "device": device, "precision": precision}
    begun = (folder / "config.json").exists()
    run = Run.resume(folder, data_dir=data_dir, device=device) if begun else Run.create(recipe.model, out=folder, **wanted)
    if not run.finished and not (now and run.step):
        say(f"{name}, {budget}, seed {seed}: step {run.step:,} of {run.settings.steps:,} in {folder}")
        left = None if deadline is None else max(0.0, (deadline - time.monotonic()) / 60)
        outcome = run.train(minutes=left)
        if outcome.why != "finished":
            say(f"stopped after step {outcome.step:,}, and saved: the same command goes on")
            return None
    path = folder / JUDGED
    if path.exists():
        record: dict[str, Any] = json.loads(path.read_text())
        if record["updates"] == run.step:
            return record
    say(f"{name}, {budget}, seed {seed}: judging")
    began = time.monotonic()
    train, test = run.splits.train, run.splits.test
    spaces: list[FeatureSpace] = []

    def space() -> FeatureSpace:
        spaces.append(_ruler(budget, data_dir, device, place))
        return spaces[0]

    model = run.model if device == "cpu" else load_model(folder, type(run.model)).model
    untrained = lambda: setup.build(type(model), dataclasses.replace(run.settings, device="cpu"), train.shape)
    judge = Judged(model, train, test, Key(seed).at("reproduce"), budget, untrained, space)
    figures = [trained_in(precision, figure) for figure in recipe.measure(judge)]
    record = {
        "seed": seed,
        "updates": run.step,
        "parameters": sum(array.size for net in run.model.nets.values() for _, array in net.named()),
        "train_seconds": round(max((line.get("seconds", 0.0) for line in log.read(run.log.path)), default=0.0), 1),
        "judge_seconds": round(time.monotonic() - began, 1),
        "settings": run.settings.as_json(),
        "figures": [figure.as_json() for figure in figures],
        "ruler": spaces[0].published() if spaces else None,
    }
    write_atomic(path, (json.dumps(record, indent=1) + "\n").encode())
    return record


def trained_in(precision: str, figure: Figure) -> Figure:
    """The figure of a model that was trained in this precision: its protocol states it, unless it is float32."""
    if precision == "float32":
        return figure
    return dataclasses.replace(figure, protocol=f"{figure.protocol}; trained{in_precision(precision)}, judged in float32")


def _curve(lines: list[dict[str, Any]], name: str) -> dict[str, Any] | None:
    """What the run logged of the held-out figure `name`, over its updates; None where it is not one of them."""
    points = {line["step"]: line["figures"][name] for line in lines if line["kind"] == "held_out" and name in line["figures"]}
    return {"figure": name, "updates": list(points), "values": list(points.values())} if points else None


def _ruler(budget: str, data_dir: Path | None, device: str, place: Place) -> FeatureSpace:
    """The classifier of this budget: the run that `minigen reproduce classifier` makes too, trained if it is not there."""
    recipe = find("classifier")
    settings = {**recipe.settings(budget, 0, data_dir), "device": device}
    return ruler(settings.pop("data"), out=place.run("classifier", budget, 0), **settings)


def _result(
    name: str, recipe: Reproduction, budget: str, judged: list[dict[str, Any]], now: bool, curve: dict[str, Any] | None
) -> dict[str, Any]:
    """The content of a result file."""
    of_seeds = [[Figure.of_json(figure) for figure in record["figures"]] for record in judged]
    figures = [over_seeds(same) for same in zip(*of_seeds, strict=True)]
    ours, published = figures[0], recipe.published
    settings, seeds = judged[0]["settings"], "" if len(judged) == 1 else f" --seeds {len(judged)}"
    where = "" if settings["device"] == "cpu" else f" --device {settings['device']}"
    if (precision := precision_of(settings)) != "float32":
        where += f" --precision {precision}"
    return {
        "command": f"minigen reproduce {name} --budget {budget}{seeds}{where}{' --now' if now else ''}",
        "name": name,
        "model": recipe.model,
        "data": recipe.data,
        "budget": budget,
        "figures": [figure.as_json() for figure in figures],
        "published": None if published is None else published._asdict(),
        "gap": None if published is None else ours.value - published.value,
        "note": recipe.note,
        "seeds": [record["seed"] for record in judged],
        "by_seed": [record["figures"][0]["value"] for record in judged],
        "curve": curve,  # of the first seed
        "updates": judged[0]["updates"],
        "steps_asked": settings["steps"],
        "parameters": judged[0]["parameters"],
        "train_seconds": [record["train_seconds"] for record in judged],
        "settings": settings,
        "ruler": judged[0]["ruler"],
        "machine": {"cpus": os.cpu_count(), "processor": platform.machine(), "system": platform.system()},
        "python": platform.python_version(),
        "numpy": np.__version__,
    }


def said(result: dict[str, Any]) -> str:
    """A result in two lines or three."""
    lines = []
    for values in result["figures"]:
        figure = Figure.of_json(values)
        between = "" if figure.interval is None else f"  [{figure.interval[0]:.4g}, {figure.interval[1]:.4g}]"
        lines.append(f"  {figure.name}: {figure.value:.4g} {figure.unit}{between} ({figure.kind}; {figure.protocol})")
    if result["published"] is not None:
        lines.append(
            f"  published: {result['published']['value']:g} ({result['published']['source']}); gap {result['gap']:+.4g}"
        )
    return "\n".join([f"{result['name']}, {result['budget']}, {result['updates']:,} updates:", *lines])


def _keep_picture(name: str, run: Path, pictures: Path) -> None:
    """Copies the run's last picture of samples, where it draws any."""
    drawn = sorted((run / "samples").glob("*samples*.png")) or sorted((run / "samples").glob("*.png"))
    if drawn:
        make_folder(pictures)
        shutil.copyfile(drawn[-1], pictures / f"{name}.png")
