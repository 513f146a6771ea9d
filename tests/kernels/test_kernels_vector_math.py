"""exp, tanh, sigmoid, log, log1p, softplus in kernels: of all float32, within units in the last place (ulp); NaN, infinity."""

from __future__ import annotations

import numba
import numpy as np
import pytest

from minigen.kernels import jit, vector_math


def made(function, x):
    """The function of every number, by a loop that is compiled as kernels are."""

    @numba.njit(fastmath=jit.ARITHMETIC, error_model="numpy")
    def fill(x, y):
        for i in range(x.shape[0]):
            y[i] = function(x[i])

    y = np.empty_like(x)
    fill(x, y)
    return y


def everywhere(rng_points=400_000):
    """float32 numbers of every size: evenly spaced bit patterns, and a fine grid where the functions bend."""
    bits = np.linspace(0, 0x7F7FFFFF, rng_points).astype(np.uint32).view(np.float32)
    return np.concatenate((bits, -bits, np.linspace(-110, 100, rng_points).astype(np.float32)))


EXACT = {
    "exp": np.exp,
    "tanh": np.tanh,
    "sigmoid": lambda x: np.where(x < 0, np.exp(np.minimum(x, 0)), 1) / (1 + np.exp(-np.abs(x))),
    "softplus": lambda x: np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))),
}
BOUND = {"exp": 2, "tanh": 4, "sigmoid": 4, "softplus": 4}


@pytest.mark.parametrize("name", EXACT)
def test_within_a_few_units_in_the_last_place(name):
    x = everywhere()
    with np.errstate(over="ignore", under="ignore"):
        exact = EXACT[name](x.astype(np.float64))
        y = made(getattr(vector_math, name), x)
        normal = (np.abs(exact) >= np.finfo(np.float32).tiny) & (exact <= np.finfo(np.float32).max)
        ulp = np.spacing(np.abs(exact[normal]).astype(np.float32)).astype(np.float64)
    off = np.abs(y[normal] - exact[normal]) / ulp
    assert off.max() <= BOUND[name], f"{off.max():.2f} ulp at x = {x[normal][off.argmax()]:.8g}"
    below = np.abs(exact) < np.finfo(np.float32).tiny
    assert np.abs(y[below] - exact[below]).max(initial=0.0) <= 1.01 * np.finfo(np.float32).tiny


@pytest.mark.parametrize("name", EXACT)
def test_limits_and_nan(name):
    x = np.array([0, np.inf, -np.inf, np.nan], np.float32)
    limits = {"exp": [1, np.inf, 0], "tanh": [0, 1, -1], "sigmoid": [0.5, 1, 0], "softplus": [np.log(2), np.inf, 0]}[name]
    y = made(getattr(vector_math, name), x)
    assert (y[:3] == np.array(limits, np.float32)).all()
    assert np.isnan(y[3])


@pytest.mark.parametrize("name", EXACT)
def test_double_precision_is_the_librarys(name):
    x = np.linspace(-30, 30, 2001)
    np.testing.assert_allclose(made(getattr(vector_math, name), x), EXACT[name](x), rtol=1e-15)


def test_log_of_what_is_positive():
    """Every size, what is below the normal numbers too, and closely around 1, where the logarithm is small."""
    x = np.abs(everywhere())
    smallest = np.arange(1, 999) * np.spacing(np.float32(0))
    x = np.concatenate((x[x > 0], np.linspace(0.5, 2, 400_001), smallest)).astype(np.float32)
    exact = np.log(x.astype(np.float64))
    y = made(vector_math.log, x)
    off = np.abs(y - exact) / np.spacing(np.maximum(np.abs(exact), 1e-30).astype(np.float32))
    assert off.max() <= 3, f"{off.max():.2f} ulp at x = {x[off.argmax()]:.8g}"
    assert y[x == 1].tolist() == [0] * (x == 1).sum()
    for dtype in (np.float32, np.float64):
        y = made(vector_math.log, np.array([0, np.inf, -1, -np.inf, np.nan], dtype))
        assert y[:2].tolist() == [-np.inf, np.inf]
        assert np.isnan(y[2:]).all()
    np.testing.assert_allclose(made(vector_math.log, x.astype(np.float64)), exact, rtol=1e-15)


def test_log1p_between_zero_and_one():
    """Where kernels ask for it: at the exponential of something negative."""
    t = np.concatenate((np.linspace(0, 1, 400_001), np.exp(np.linspace(-87, 0, 400_001)))).astype(np.float32)
    exact = np.log1p(t.astype(np.float64))
    assert (np.abs(made(vector_math.log1p, t) - exact) <= 3 * np.spacing(exact.astype(np.float32))).all()
    np.testing.assert_allclose(made(vector_math.log1p, t.astype(np.float64)), exact, rtol=1e-15)
    assert np.isnan(made(vector_math.log1p, np.array([np.nan], np.float32))).all()
