"""A move of a chain: every number within what its kernel promises, limits that clip nothing, and what does not fit."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minigen.kernels import langevin, rungs
from minigen.random import Key

RUNGS = pytest.mark.parametrize("mode", ["definition", "numba"])
NUMBERS = {"step": 0.3, "noise": 0.1, "clip": 0.7, "bound": 1.1}


@given(
    shape=st.sampled_from(((1,), (7, 2), (3, 5, 5, 1), (40, 300))),
    clip=st.sampled_from((0.0, 0.7, math.inf)),
    bound=st.sampled_from((1.1, math.inf)),
    step=st.sampled_from((1e-3, 0.3, 10.0)),
    dtype=st.sampled_from((np.float32, np.float64)),
    seed=st.integers(0, 99),
)
@settings(deadline=None, max_examples=40)
def test_a_move(shape, clip, bound, step, dtype, seed):
    x, slope, eps = (Key(seed).at(name).normal(shape[::-1], np.float64).astype(dtype).T for name in ("x", "slope", "eps"))
    wide = [v.astype(np.longdouble) for v in (x, slope, eps)]
    parts = wide[0], step * np.clip(wide[1], -clip, clip), 0.1 * wide[2]
    exact = np.clip(parts[0] - parts[1] + parts[2], -bound, bound)
    limit = np.finfo(dtype).eps / 2 * sum(k * np.abs(part) for k, part in zip((3, 6, 4), parts, strict=True))
    for mode in ("definition", "numba"):
        with rungs(mode):
            got = langevin.move(x, slope, eps, step=step, noise=0.1, clip=clip, bound=bound)
        assert got.dtype == dtype
        assert (np.abs(got - exact) <= limit).all()


def test_by_the_complex_step():
    """dy/dx is 1 and dy/dslope -step where nothing is clipped, 0 where it is."""
    x, slope, eps = (Key(1).at(name).normal((200,), np.float64) for name in ("x", "slope", "eps"))
    h = 1e-30j
    y = langevin.move(x, slope, eps, **NUMBERS)
    inside = np.abs(y) < NUMBERS["bound"]
    assert 0 < inside.sum() < 200
    np.testing.assert_allclose(langevin.move(x + h, slope, eps, **NUMBERS).imag / 1e-30, inside)
    steep = inside & (np.abs(slope) < NUMBERS["clip"])
    np.testing.assert_allclose(langevin.move(x, slope + h, eps, **NUMBERS).imag / 1e-30, -NUMBERS["step"] * steep)


@RUNGS
def test_a_nan_stays_and_infinity_is_clipped(mode):
    x, slope, eps = np.zeros((3, 4), np.float32)
    x[0], slope[1], eps[2], slope[3] = np.nan, np.nan, np.nan, np.inf
    with rungs(mode):
        y = langevin.move(x, slope, eps, **NUMBERS)
    assert np.isnan(y).tolist() == [True, True, True, False]
    np.testing.assert_allclose(y[3], -0.3 * 0.7, rtol=1e-6)


@pytest.mark.parametrize("shape", [(0, 3), (2, 0)])
def test_nobody_moves(shape):
    x = np.ones(shape, np.float32)
    assert langevin.move(x, x, x, **NUMBERS).shape == shape


def test_what_does_not_fit_is_refused():
    x = np.zeros((4, 6), np.float32)
    with pytest.raises(ValueError, match=r"langevin.move: .*differ"):
        langevin.move(x, x[:, :5], x, **NUMBERS)
    with pytest.raises(TypeError, match="mixed precisions"):
        langevin.move(x, x, x.astype(float), **NUMBERS)
