"""What the commands show besides training: the models there are, samples and figures of a trained one, a look at data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .. import models
from ..backend import Array, to_device
from ..data import load
from ..kernels import precision as rounded
from ..models.model import Model
from ..random import Key
from . import setup
from .errors import RunError
from .evaluation import Figures, evaluate
from .run import load_model, read_config
from .settings import in_precision, parse_data_options, parse_draws
from .showing import show, texts

PREVIEW = 64  # rows of a data set that are drawn; of sequences
SEQUENCES = 8
EXCERPT = 400  # characters of a text that are printed


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


def draw_samples(
    path: Path,
    n: int | None,
    seed: int,
    out: Path | None,
    length: int | None = None,
    *,
    classes: str | None = None,
    told: Iterable[str] = (),
    device: str = "cpu",
    precision: str = "float32",
) -> str:
    """Writes `n` samples of the trained model at `path`, a block of them by default; returns lines that say where, and texts.

    `length` is that of sequences, the length of the training rows by default. `classes`, "3" or "3,5", asks for these, each as
    often; `told` are KEY=VALUE of what the model's `draws` names: a temperature, a sampler. They are drawn in `precision`,
    whatever the model was trained in.
    """
    setup.check_device(device, precision)
    model, settings, step, _ = load_model(path, device=device)
    n = model.block if n is None else n
    if length is not None and not model.traits:
        raise RunError(f"{settings.model} does not draw sequences: leave --length out")
    out = (path if path.is_dir() else path.parent) / f"sampled-{n}-seed{seed}" if out is None else out
    options = parse_draws(told, model.draws, settings.model) | ({} if length is None else {"length": length})
    try:
        with rounded(precision):
            drawn = samples(model, n, Key(seed).at("sample"), classes=_labels(classes, n), **options)
    except NotImplementedError:
        raise RunError(f"{settings.model} has no distribution to draw samples from") from None
    except ValueError as error:  # no such class, more jumps than steps, an unknown sampler
        raise RunError(f"samples of {path}: {error}") from None
    files = show(out, drawn, model.traits)
    of = f"{settings.model} after {step:,} steps{in_precision(settings.precision)}"
    return f"{_excerpt(drawn, model.traits)}{n} samples{in_precision(precision)} of {of}: {_listed(files)}"


def samples(model: Model, n: int, key: Key, *, classes: Array | None = None, **options: Any) -> Array:
    """n samples, drawn block by block; of these classes (n,), where there are some."""
    size = model.block
    blocks = -(-n // size)
    labels = None if classes is None else np.resize(classes, (blocks, size))

    def block(i: int) -> Array:
        at = key.at("block", i)
        drawn = model.sample(size, at, **options) if labels is None else model.sample_class(labels[i], at, **options)
        return to_device(drawn, "cpu")

    return np.concatenate([block(i) for i in range(blocks)])[:n]


def _labels(classes: str | None, n: int) -> Array | None:
    """ "3,5" -> n labels, the 3s first, each as often."""
    if classes is None:
        return None
    try:
        asked = np.array([int(word) for word in classes.split(",")])
    except ValueError:
        raise RunError(f"--class {classes}: write numbers, such as 3 or 3,5") from None
    return asked[np.arange(n) * len(asked) // max(1, n)]


def _excerpt(rows: Array, traits: Mapping[str, Any]) -> str:
    """The beginning of texts, to be printed; nothing for other rows."""
    if "characters" not in traits:
        return ""
    text = texts(rows, traits["characters"])
    return text if len(text) <= EXCERPT else f"{text[:EXCERPT]} ...\n\n"


def _listed(files: Iterable[Path]) -> str:
    return ", ".join(map(str, files))


class Evaluated(NamedTuple):
    model: str
    data: str
    step: int
    trained_in: str  # the precision of its steps; the figures have their own
    unit: str
    figures: Figures

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        figures = {
            name: {"value": value, "standard_error": self.figures.errors[name]} for name, value in self.figures.values.items()
        }
        return {
            "model": self.model,
            "data": self.data,
            "step": self.step,
            "trained_in": self.trained_in,
            "rows": self.figures.rows,
            "unit": self.unit,
            "precision": self.figures.precision,
            "figures": figures,
        }


def evaluate_run(
    path: Path, data: str | None, data_dir: Path | None, device: str = "cpu", precision: str = "float32"
) -> Evaluated:
    """The figures of the trained model at `path` over the test split of its data, or of other data of the same shape.

    They are computed in `precision`, whatever the model was trained in.
    """
    setup.check_device(device, precision)
    model, settings, step, shape = load_model(path, device=device)
    options = settings.data_options if data is None or data == settings.data else {}
    if data_dir is None and path.is_dir() and (data is None or data == settings.data):
        data_dir = read_config(path).get("data_dir")
    test = load(data or settings.data, "test", folder=data_dir, **options)
    setup.check_rows(test)
    if test.traits != dict(model.traits):
        raise RunError(f"{path} is for {setup.said(model.traits)}, and {test.name} has {setup.said(test.traits)}")
    if test.shape != shape:
        raise RunError(f"{path} was trained on rows of shape {shape}, and those of {test.name} have shape {test.shape}")
    with rounded(precision):
        figures = evaluate(model, test, np.arange(len(test)), Key(settings.seed).at("evaluation"), device=device)
    return Evaluated(settings.model, test.name, step, settings.precision, model.unit, figures)


def preview(name: str, split: str, data_dir: Path | None, settings: Iterable[str], out: Path | None) -> str:
    """Writes a grid of the first rows of a data set; returns lines that say what it is and where."""
    rows = load(name, split, folder=data_dir, **parse_data_options(settings))
    setup.check_rows(rows)
    most = SEQUENCES if rows.traits else PREVIEW if len(rows.shape) == 3 else len(rows)
    shown = min(most, len(rows))
    first = rows.batch(np.arange(shown))
    if out is None:
        stem = Path(name.partition(":")[2] or name).stem
        out = Path(f"{stem}-rows" if "characters" in rows.traits else f"{stem}.png")  # not over the text itself
    try:
        files = show(out, first, rows.traits)
    except ValueError as error:
        raise RunError(f"{name} cannot be drawn: {error}") from None
    classes = f", {len(rows.classes)} classes" if rows.classes else ""
    shape = " x ".join(map(str, rows.shape))
    what = f", {setup.said(rows.traits)}" if rows.traits else ""
    said = f"{rows.name}, {split}: {len(rows):,} rows of {shape}{classes}{what}\nits first {shown:,} rows: {_listed(files)}"
    return _excerpt(first, rows.traits) + said
