"""From settings to what a run works with: checked data, a model, its optimisers. Mistakes are found here, before step 0."""

from __future__ import annotations

import dataclasses
import hashlib
import math
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .. import models
from ..backend import Shape, cupy
from ..data import Dataset, Sequences, check_images
from ..data import load as load_data
from ..data.sequences import TRAITS
from ..kernels import chosen_rungs
from ..models.model import Model, told
from ..random import Key
from .errors import RunError
from .settings import DEVICES, Settings, check_option, check_precision, shown


class Splits(NamedTuple):
    """What a model learns from, and what it is judged by."""

    train: Dataset
    test: Dataset

    @property
    def digest(self) -> str:
        """A checksum of both: a run must not go on with other data."""
        sha = hashlib.sha256()
        for split in self:
            sha.update(f"{split.images.dtype.str}{split.images.shape}".encode())
            sha.update(np.ascontiguousarray(split.images).view(np.uint8).data)
            if split.labels is not None:
                sha.update(np.ascontiguousarray(split.labels).view(np.uint8).data)
        return sha.hexdigest()


def check_device(device: str, precision: str = "float32") -> None:
    """RunError where this device is unknown, cannot be had here, or does not compute in this precision.

    It is asked before data are read or anything is written.
    """
    if device not in DEVICES:
        raise RunError(f"unknown device {device!r}: choose {' or '.join(DEVICES)}")
    check_precision(precision)
    if precision != "float32" and device == "cpu":
        raise RunError(
            f"{precision} is a precision of GPUs, and the CPU computes in float32: add --device cuda, or leave --precision out"
        )
    if precision != "float32" and chosen_rungs() == "definition":
        raise RunError(
            f"the kernels' definitions (MINIGEN_KERNELS) compute in float32, not in {precision}: choose another mode"
        )
    if device == "cuda":
        try:
            cupy()
        except RuntimeError as error:
            raise RunError(str(error)) from error


def find_model(name: str) -> type[Model]:
    """The class of a model by name; RunError with the names there are."""
    try:
        return models.find(name)
    except ValueError as error:
        raise RunError(str(error)) from None


def load_splits(name: str, folder: str | Path | None, options: Mapping[str, Any]) -> Splits:
    """Both splits, every value checked. Raises DataError, which names the file or the row."""
    splits = Splits(load_data(name, "train", folder=folder, **options), load_data(name, "test", folder=folder, **options))
    check_splits(splits)
    return splits


def check_splits(splits: Splits) -> None:
    """`check_rows` of both; RunError where the shapes of their rows differ."""
    for split in splits:
        check_rows(split)
    if splits.train.shape != splits.test.shape:
        raise RunError(f"{splits.train.name}: rows of the test split are {splits.test.shape}, of train {splits.train.shape}")


def check_rows(data: Dataset) -> None:
    """DataError that names the first row with a value that is not finite, or, for images, outside [0, 1]."""
    if isinstance(data, Sequences):
        return  # which were checked when they were made
    largest = float(np.finfo(data.images.dtype).max) if data.images.dtype.kind == "f" else 0.0
    low, high = (0.0, 1.0) if len(data.shape) == 3 else (-largest, largest)
    check_images(data.images, name=f"{data.name} ({data.split})", low=low, high=high)


def tell(cls: type[Model], settings: Settings, data: Dataset) -> Settings:
    """The settings, where the model has been told its data's traits (the rate of sound, the characters of a text).

    RunError where the model is for another kind of data.
    """
    options = told(settings.options, data.traits)
    theirs = {trait: options[trait] for trait in TRAITS if trait in cls.recipe.options}
    if theirs != data.traits:
        wanted, found = said(dict.fromkeys(theirs)) if None in theirs.values() else said(theirs), said(data.traits)
        raise RunError(f"{settings.model} is for {wanted}, and {data.name} has {found}: choose --data {cls.recipe.data[0]}")
    return dataclasses.replace(settings, options=options)


def said(traits: Mapping[str, Any]) -> str:
    """What rows with these traits are, in words; a value of None is any."""
    if "hertz" in traits:
        return "sound" if traits["hertz"] is None else f"sound of {traits['hertz']} samples a second"
    if "characters" in traits:
        characters = traits["characters"]
        return "text" if characters is None else f"text of {len(characters)} characters {shown(characters)}"
    return "images or points"


def check_labels(settings: Settings, splits: Splits) -> None:
    """RunError where a model with an option `classes`, which learns from labels, gets none, or more classes than it is for."""
    if not (classes := settings.options.get("classes")):
        return
    for split in splits:
        if split.labels is None:
            raise RunError(
                f"{settings.model} learns from labels, and {split.name} has none: use data that has them, such as glyphs"
            )
        if (most := int(split.labels.max(initial=0)) + 1) > classes:
            raise RunError(f"{split.name} has {most} classes, and {settings.model} is for {classes}: use --set classes={most}")


def build(cls: type[Model], settings: Settings, shape: Shape) -> Model:
    """The model of a run at its first values, on its device, with its optimisers; RunError on a wrong option or shape."""
    for key in settings.options:
        check_option(key, cls.recipe, settings.model)
    check_device(settings.device)
    make: Any = cls
    try:
        model: Model = make(shape, Key(settings.seed).at("model"), **settings.options)
    except ValueError as error:
        raise RunError(f"{settings.model} cannot be made for rows of shape {shape}: {error}") from error
    if settings.device != "cpu":
        model = model.to(settings.device)
    model.start(settings.rate, settings.steps)
    return model


def check_schedule(model: Model, settings: Settings, steps: int, done: int) -> None:
    """Raises RunError where a run of `steps` steps would have had other learning rates in the `done` steps that were taken.

    Otherwise a longer run is what it would have been from the start, and may go on. Leaves the optimisers for `steps` steps.
    """
    model.start(settings.rate, settings.steps)
    before = {name: optimizer.rate for name, optimizer in model.optimizers.items()}
    model.start(settings.rate, steps)
    for name, optimizer in model.optimizers.items():
        old, new = before[name], optimizer.rate
        if callable(old) and callable(new) and any(old(t) != new(t) for t in range(done)):
            raise RunError(
                f"steps: {settings.steps} in the run, {steps} asked for, and the schedule of {name!r} depends on them: the "
                f"{done} steps taken had other learning rates. Start a new run with another --out"
            )


def steps_of_epochs(epochs: float, rows: int, batch: int) -> int:
    """The number of steps that see every row `epochs` times."""
    return max(1, math.ceil(epochs * math.ceil(rows / batch)))


def thread_count() -> int:
    """The threads that work at present: Numba's once its pool is open, else those of NumPy's matrix products."""
    if "numba" in sys.modules:
        from ..kernels.pool import thread_count as of_kernels

        return of_kernels()
    from threadpoolctl import threadpool_info

    return max((pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"), default=os.cpu_count() or 1)
