"""Figures: their intervals, and what is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from minigen.metrics.figure import Figure, mean_of, over_seeds
from minigen.random import Key


def figure(value, **changes):
    return Figure(
        **{"name": "nll", "value": value, "unit": "nats", "kind": "exact", "count": 5, "protocol": "five rows", **changes}
    )


def test_a_mean_and_its_interval():
    values = Key(0).normal((400,), np.float64)
    found = mean_of("x", values, "nats", "estimate", "400 rows")
    low, high = stats.norm.interval(0.95, values.mean(), stats.sem(values))
    np.testing.assert_allclose((found.value, *found.interval), (values.mean(), low, high), rtol=1e-6)
    assert found.count == 400
    assert mean_of("x", values[:1], "nats", "estimate", "one row").interval is None


def test_the_interval_over_seeds_is_students():
    values = [1.0, 1.4, 0.9, 1.1]
    found = over_seeds([figure(value) for value in values])
    expected = stats.t.interval(0.95, 3, np.mean(values), stats.sem(values))
    np.testing.assert_allclose((found.value, *found.interval), (np.mean(values), *expected), rtol=1e-12)
    alone = figure(2.0, interval=(1.0, 3.0))
    assert over_seeds([alone]) is alone


def test_a_figure_comes_back_from_its_file():
    for made in (figure(1.5), figure(1.5, interval=(1.0, 2.0), kind="bound")):
        assert Figure.of_json(made.as_json()) == made


def test_what_is_refused():
    with pytest.raises(ValueError, match="exact, bound or estimate; nll is said to be 'good'"):
        figure(1.0, kind="good")
    with pytest.raises(ValueError, match="no rows"):
        mean_of("x", np.zeros(0), "nats", "exact", "none")
    with pytest.raises(ValueError, match="no seeds"):
        over_seeds([])


def test_a_nan_shows():
    found = mean_of("x", np.array([1.0, math.nan]), "nats", "exact", "two rows")
    assert math.isnan(found.value)
