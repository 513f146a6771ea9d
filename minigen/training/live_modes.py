"""How many of the data's modes a generator finds, counted while it trains, where it is known which modes there are.

Gaussians in the plane: 2,500 samples, as in the tables (`metrics.modes`). Stacked digits: 2,600 samples, a tenth of the
tables' number, by the ruler of the single ones, runs/ruler-mnist or -glyphs, where it has been trained; else they are not
counted.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from ..backend import to_device
from ..data import DENSITIES
from ..metrics.health import Modes
from ..metrics.modes import SAMPLES, mode_coverage
from ..metrics.stacked import of_channels, stacked_coverage
from ..models.classifier import Classifier
from ..models.model import Model
from ..random import Key
from . import checkpoint

STACKED = "stacked_"
BLOCKS, BLOCK = 26, 100  # of stacked samples


class LiveModes:
    """The modes of a data set by name; nothing of data whose modes nobody knows."""

    def __init__(self, data: str) -> None:
        self.density = DENSITIES.get(data)
        self.ruler: Classifier | None = None
        folder = Path("runs", f"ruler-{data.removeprefix(STACKED)}")
        if data.startswith(STACKED) and (folder / checkpoint.NAME).exists():
            from .run import load_model  # which imports the loop, which imports this

            model = load_model(folder).model
            assert isinstance(model, Classifier)
            self.ruler = model

    def count(self, model: Model, key: Key) -> tuple[Modes | None, dict[str, Any]]:
        """What the verdict is told, and what the log keeps: {"modes": {...}}."""
        if self.density is not None and self.density.modes is not None:
            plane = mode_coverage(model.sample(SAMPLES, key), *self.density.modes)
            return Modes(plane.modes, plane.of, plane.reverse_kl, plane.quality), {"modes": _plain(plane._asdict())}
        if self.ruler is not None:
            judge = self.ruler
            drawn = (to_device(model.sample(BLOCK, key.at(i)), "cpu") for i in range(BLOCKS))
            p = np.concatenate([of_channels(judge.probabilities, images) for images in drawn])  # (n, 3, K)
            digits = stacked_coverage(p)
            return Modes(digits.modes, digits.of, digits.reverse_kl, digits.sure), {"modes": digits._asdict()}
        return None, {}


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """For JSON, which has no NaN."""
    return {name: None if isinstance(value, float) and math.isnan(value) else value for name, value in values.items()}
