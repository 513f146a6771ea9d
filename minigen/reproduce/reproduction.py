"""What it takes to reproduce a figure: a run's settings, its length by budget, how it is judged, and against what."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from ..data import Dataset
from ..metrics.features import FeatureSpace
from ..metrics.figure import Figure
from ..random import Key

BUDGETS = "quick", "cpu", "gpu"  # minutes; at most an hour on two cores; what the published figure was given


class Published(NamedTuple):
    """A figure to be held against ours."""

    value: float
    source: str
    better: str = "lower"  # or "higher"


class Judged(NamedTuple):
    """What a measure is given."""

    model: Any  # trained
    train: Dataset
    test: Dataset
    key: Key
    budget: str
    untrained: Callable[[], Any]  # the model as it was before its first step
    ruler: Callable[[], FeatureSpace]  # the classifier in whose eyes images are judged; trained when first asked for


Measure = Callable[[Judged], list[Figure]]  # the first figure is the one that is compared


@dataclass(frozen=True)
class Reproduction:
    """One row of RESULTS.md. What is None comes from the model's recipe for that data."""

    model: str
    data: str
    steps: tuple[int, int, int]  # by budget
    measure: Measure
    published: Published | None = None
    rate: float | None = None
    batch: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    data_options: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""  # where ours departs from what is published
    curve: str = ""  # the held-out figure, of those the run logs, that tells how far training came: drawn over the updates

    def settings(self, budget: str, seed: int, data_dir: Path | None) -> dict[str, Any]:
        """The arguments of `Run.create` after the model."""
        return {
            "data": self.data,
            "data_dir": data_dir,
            "steps": self.steps[BUDGETS.index(budget)],
            "rate": self.rate,
            "batch": self.batch,
            "seed": seed,
            "options": dict(self.options),
            "data_options": dict(self.data_options),
        }
