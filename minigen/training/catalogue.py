"""What the commands show besides training: the models there are, samples and figures of a trained one, a look at data."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .. import models
from ..backend import Array, to_device
from ..data import load
from ..models.model import Model
from ..random import Key
from . import setup
from .errors import RunError
from .evaluation import Figures, evaluate
from .pictures import as_grid, save_grid
from .run import load_model, read_config
from .settings import parse_data_options

BLOCK = 64  # samples drawn at once: sample i does not depend on how many are asked for
PREVIEW = 64


def model_rows() -> list[dict[str, Any]]:
    """One row for each model: name, family, objectives, data, lesson."""
    rows = []
    for name in models.names():
        cls = models.find(name)
        recipe = cls.recipe
        rows.append(
            {
                "name": name,
                "family": recipe.family,
                "objectives": list(recipe.objectives),
                "data": list(recipe.data),
                "lesson": recipe.lesson,
            }
        )
    return rows


def draw_samples(path: Path, n: int, seed: int, out: Path | None) -> str:
    """Writes a grid of `n` samples of the trained model at `path`; returns a line that says where."""
    model, settings, step, _ = load_model(path)
    if out is None:
        out = (path if path.is_dir() else path.parent) / f"sampled-{n}-seed{seed}.png"
    try:
        drawn = samples(model, n, Key(seed).at("sample"))
    except NotImplementedError:
        raise RunError(f"{settings.model} has no distribution to draw samples from") from None
    save_grid(out, as_grid(drawn))
    return f"{n} samples of {settings.model} after {step:,} steps: {out}"


def samples(model: Model, n: int, key: Key) -> Array:
    """n samples, drawn block by block."""
    blocks = [to_device(model.sample(BLOCK, key.at("block", i)), "cpu") for i in range(-(-n // BLOCK))]
    return np.concatenate(blocks)[:n]


class Evaluated(NamedTuple):
    model: str
    data: str
    step: int
    unit: str
    figures: Figures

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        figures = {
            name: {"value": value, "standard_error": self.figures.errors[name]} for name, value in self.figures.values.items()
        }
        fields = {"model": self.model, "data": self.data, "step": self.step, "rows": self.figures.rows, "unit": self.unit}
        return {**fields, "figures": figures}


def evaluate_run(path: Path, data: str | None, data_dir: Path | None) -> Evaluated:
    """The figures of the trained model at `path` over the test split of its data, or of other data of the same shape."""
    model, settings, step, shape = load_model(path)
    options = settings.data_options if data is None or data == settings.data else {}
    if data_dir is None and path.is_dir() and (data is None or data == settings.data):
        data_dir = read_config(path).get("data_dir")
    test = load(data or settings.data, "test", folder=data_dir, **options)
    setup.check_rows(test)
    if test.shape != shape:
        raise RunError(f"{path} was trained on rows of shape {shape}, and those of {test.name} have shape {test.shape}")
    figures = evaluate(model, test, np.arange(len(test)), Key(settings.seed).at("evaluation"))
    return Evaluated(settings.model, test.name, step, model.unit, figures)


def preview(name: str, split: str, data_dir: Path | None, settings: Iterable[str], out: Path | None) -> str:
    """Writes a grid of the first rows of a data set; returns lines that say what it is and where."""
    rows = load(name, split, folder=data_dir, **parse_data_options(settings))
    setup.check_rows(rows)
    shown = min(PREVIEW if len(rows.shape) == 3 else len(rows), len(rows))
    try:
        grid = as_grid(rows.batch(np.arange(shown)))
    except ValueError as error:
        raise RunError(f"{name} cannot be drawn: {error}") from None
    out = out if out is not None else Path(f"{Path(name.partition(':')[2] or name).name}.png")
    save_grid(out, grid)
    classes = f", {len(rows.classes)} classes" if rows.classes else ""
    shape = " x ".join(map(str, rows.shape))
    return f"{rows.name}, {split}: {len(rows):,} rows of {shape}{classes}\nits first {shown:,} rows: {out}"
