"""Held-out figures: means over rows, with their standard errors."""

from __future__ import annotations

import math
from typing import NamedTuple

from ..backend import Array, number, to_device
from ..data import Batch, Dataset
from ..kernels import chosen_precision
from ..models.model import Model
from ..random import Key

ROWS = 50  # of a batch: enough batches to estimate a spread from, large enough to be fast


class Figures(NamedTuple):
    rows: int
    values: dict[str, float]
    errors: dict[str, float | None]  # standard errors of the values; None where one batch was all
    precision: str = "float32"  # that they were computed in


def batch_of(data: Dataset, rows: Array, device: str) -> Batch:
    """The batch of these rows."""
    labels = None if data.labels is None else to_device(data.labels[rows], device)
    return Batch(data.batch(rows, device=device), labels, rows)


def evaluate(model: Model, data: Dataset, rows: Array, key: Key, *, device: str = "cpu") -> Figures:
    """`model.evaluate` over these rows, every row weighing the same.

    A batch of n rows has a mean whose variance is s^2 / n, s^2 the variance of one row. So with B batches of n_b rows and means
    m_b, sum n_b (m_b - mean)^2 / (B - 1) estimates s^2 without bias, and sqrt(s^2 / N) is the standard error of the whole.
    That takes batches drawn at random: those of a split that is sorted by class would differ by their classes, too.
    """
    N = len(rows)
    rows = rows[key.at("order").permutation(N)]
    sizes: list[int] = []
    means: dict[str, list[float]] = {}
    for i, start in enumerate(range(0, N, ROWS)):
        batch = batch_of(data, rows[start : start + ROWS], device)
        for name, value in model.evaluate(model.batch_of(batch), key.at("batch", i)).items():
            means.setdefault(name, []).append(float(number(value)))
        sizes.append(len(batch.indices))
    values = {name: math.fsum(n * m for n, m in zip(sizes, ms, strict=True)) / N for name, ms in means.items()}
    errors: dict[str, float | None] = {}
    for name, ms in means.items():
        squares = math.fsum(n * (m - values[name]) ** 2 for n, m in zip(sizes, ms, strict=True))
        errors[name] = math.sqrt(squares / (len(ms) - 1) / N) if len(ms) > 1 else None
    return Figures(N, values, errors, "float32" if device == "cpu" else chosen_precision())
