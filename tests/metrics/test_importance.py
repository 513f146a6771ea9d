"""The importance-weighted bound: a sum that streams, the same for any batch, with a known answer."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import logsumexp

from minigen.metrics import importance
from minigen.metrics.importance import RunningSum, importance_bound
from minigen.random import Key


class Gaussian:
    """log w is N(-spread^2 / 2, spread^2), so that E[w] = 1 and log p(x) = 0."""

    def __init__(self, spread):
        self.spread, self.asked = spread, []

    def log_weights(self, x, samples, key):
        self.asked.append(samples)
        return x[0] + self.spread * key.normal((1, samples), np.float64) - self.spread**2 / 2


def test_the_sum_streams():
    l = 300 * Key(0).normal((1000,), np.float64)
    total = RunningSum()
    for part in np.split(l, [1, 7, 500, 501]):
        total.add(part)
    np.testing.assert_allclose(total.log, logsumexp(l), rtol=1e-13)
    np.testing.assert_allclose(total.effective, np.exp(2 * logsumexp(l) - logsumexp(2 * l)), rtol=1e-12)


def test_equal_weights_are_all_effective():
    total = RunningSum()
    total.add(np.full(600, -1234.5))
    total.add(np.full(400, -1234.5))
    np.testing.assert_allclose((total.effective, total.log), (1000, -1234.5 + np.log(1000)), rtol=1e-13)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_shows(bad):
    total = RunningSum()
    total.add(np.array([1.0, bad, 2.0]))
    total.add(np.array([1.0]))
    assert not np.isfinite(total.log)


def test_a_known_likelihood():
    found = importance_bound(Gaussian(1.0), lambda i: np.full((1, 1), 3.0), 200, 5000, Key(1))
    assert abs(found.bound.mean() - 3.0) < 5 * found.bound.std() / 200**0.5 + 1e-3
    expected = 5000 / np.e  # (E w)^2 / E w^2 = e^-(spread^2)
    assert abs(found.effective.mean() / expected - 1) < 0.02
    loose = importance_bound(Gaussian(1.0), lambda i: np.full((1, 1), 3.0), 200, 1, Key(1))
    assert abs(loose.bound.mean() - 2.5) < 5 / 200**0.5  # K = 1: the mean of the logarithm


def test_rows_are_on_their_own():
    row = lambda i: np.full((1, 1), float(i))
    whole = importance_bound(Gaussian(0.5), row, 6, 700, Key(2))
    parts = [importance_bound(Gaussian(0.5), row, n, 700, Key(2), first=first) for first, n in ((0, 1), (1, 3), (4, 2))]
    np.testing.assert_array_equal(whole.bound, np.concatenate([part.bound for part in parts]))
    again = importance_bound(Gaussian(0.5), row, 6, 700, Key(2))
    np.testing.assert_array_equal(whole.effective, again.effective)


def test_memory_is_one_block(monkeypatch):
    monkeypatch.setattr(importance, "BLOCK", 64)
    model = Gaussian(0.5)
    importance_bound(model, lambda i: np.zeros((1, 1)), 2, 200, Key(3))
    assert model.asked == [64] * 8


def test_no_samples():
    with pytest.raises(ValueError, match="samples=0"):
        importance_bound(Gaussian(1.0), lambda i: np.zeros((1, 1)), 1, 0, Key(4))
