"""Gated units: every number within what its kernel promises, by the complex step, and what does not fit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minigen.kernels import gated, rungs
from minigen.random import Key

RUNGS = pytest.mark.parametrize("mode", ["definition", "numba"])


def exact(dy, x):
    """y and dx to the last place of float64, in forms where nothing cancels."""
    a, b = np.split(x.astype(np.longdouble), 2, -1)
    s, q = 1 / (1 + np.exp(-b)), np.exp(-2 * np.abs(a))
    return np.tanh(a) * s, np.concatenate((dy * s * 4 * q / (1 + q) ** 2, dy * np.tanh(a) * s / (1 + np.exp(b))), -1)


@given(
    n=st.sampled_from((1, 2, 31)),
    p=st.sampled_from((1, 3, 40)),
    c=st.sampled_from((1, 2, 15, 16, 33, 200)),
    dtype=st.sampled_from((np.float32, np.float64)),
    seed=st.integers(0, 99),
)
@settings(deadline=None, max_examples=40)
def test_there_and_back(n, p, c, dtype, seed):
    """Far out too, where 1 - tanh^2 has no digits left as a difference."""
    key, u = Key(seed), np.finfo(dtype).eps / 2
    x = (4 * key.at("x").normal((p, n, 2 * c), np.float64)).astype(dtype).swapaxes(0, 1)  # a view
    dy = key.at("dy").normal((n, p, c), np.float64).astype(dtype)
    y, dx = exact(dy, x)
    with rungs("numba"):
        found = gated.forward(x), gated.gradient(dy, x)
    for got, true, limit in zip(found, (y, dx), (17, 30), strict=True):
        assert got.dtype == dtype
        assert (np.abs(got - true) <= limit * u * np.abs(true)).all()
    with rungs("definition"):
        np.testing.assert_allclose(gated.forward(x.astype(float)), y.astype(float), rtol=0, atol=1e-15)
        np.testing.assert_allclose(gated.gradient(dy.astype(float), x.astype(float)), dx.astype(float), rtol=0, atol=1e-14)


def test_by_the_complex_step():
    (x, x_dot), dy = Key(1).normal((2, 3, 4, 10), np.float64), Key(2).normal((3, 4, 5), np.float64)
    moved = gated.forward(x + 1e-30j * x_dot).imag / 1e-30
    np.testing.assert_allclose((gated.gradient(dy, x) * x_dot).sum(), (dy * moved).sum(), rtol=1e-12)


@RUNGS
def test_far_out(mode):
    """Nothing overflows, and a NaN stays with its number."""
    x, dy = np.zeros((4, 40), np.float32), np.ones((4, 20), np.float32)
    x[0], x[1] = 1e4, -1e4
    x[2, 7], x[3, 27] = np.nan, np.nan  # of a and of b
    with rungs(mode):
        y, dx = gated.forward(x), gated.gradient(dy, x)
    assert (y[0] == 1).all()
    assert (y[1] == 0).all()
    assert (dx[:2] == 0).all()
    assert np.argwhere(np.isnan(y)).tolist() == [[2, 7], [3, 7]]
    assert np.isnan(dx[:, [7, 27]])[2:].all()
    assert np.isnan(dx).sum() == 4


@pytest.mark.parametrize("shape", [(0, 3), (2, 0)])
def test_nothing_to_gate(shape):
    x = np.ones((*shape[:-1], 2 * shape[-1]), np.float32)
    y = gated.forward(x)
    assert y.shape == shape
    assert gated.gradient(y, x).shape == x.shape


def test_what_does_not_fit_is_refused():
    x = np.zeros((4, 6), np.float32)
    with pytest.raises(ValueError, match=r"gated.forward: x \(4, 5\) must be \(..., 2 C\)"):
        gated.forward(x[:, :5])
    with pytest.raises(ValueError, match=r"gated.gradient: x \(4, 6\) must have two numbers for each of dy \(4, 2\)"):
        gated.gradient(x[:, :2], x)
    with pytest.raises(TypeError, match="mixed precisions"):
        gated.gradient(x[:, :3].astype(float), x)
