"""The logit: each number within what its kernel promises, pixels, by the complex step, its inverse, walls, errors."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_cases import both, drawn

from minigen.kernels import logit, rungs
from minigen.kernels.logit.definition import dequantise
from minigen.random import Key

RUNGS = pytest.mark.parametrize("mode", ["definition", "numba"])
SHAPES = st.sampled_from(((1, 1), (2, 15), (31, 17), (3, 7, 5, 2), (1, 4097), (5,)))
ALPHAS = st.sampled_from((0.05, 1e-6, 0.3))
TYPES = st.sampled_from((np.float32, np.float64))


def uniform(key, shape, dtype):
    """As a view."""
    return key.uniform(shape[::-1], np.float64).astype(dtype).T


def within(found, exact, limits):
    for got, true, limit in zip(found, exact, limits, strict=True):
        assert got.shape == true.shape
        assert (np.abs(got - true) <= limit).all()


def rounded(dtype):
    return np.finfo(dtype).eps / 2


@given(shape=SHAPES, alpha=ALPHAS, dtype=TYPES, seed=st.integers(0, 99))
@settings(deadline=None, max_examples=40)
def test_there_and_back(shape, alpha, dtype, seed):
    u, rows = rounded(dtype), tuple(range(1, len(shape)))
    x, dz = uniform(Key(seed), shape, dtype), drawn(Key(seed).at("dz"), shape[::-1], dtype).T
    x.T.reshape(-1)[:1], dlogdet = seed % 3 / 2, drawn(Key(seed).at("dlogdet"), shape[0], dtype)  # the walls too
    wide = x.astype(np.longdouble)
    k = 1 - 2 * np.longdouble(alpha)
    p, q = alpha + k * wide, alpha + k * (1 - wide)
    size, far = np.abs(np.log(p)) + np.abs(np.log(q)), -np.log(k)
    exact = np.log(p) - np.log(q), (np.log(k) - np.log(p) - np.log(q)).sum(rows)
    added = 0 if dtype == np.float32 else x[0].size  # float64 is no wider than the sum
    limits = u * (7 + 7 * size), u * (8 + (9 + added) * (size + far)).sum(rows)
    found, plain = both(lambda x: logit.forward(x, alpha), x)
    assert all(got.dtype == dtype for got in found)
    within(found, exact, limits)
    if dtype == np.float64:
        within(plain, exact, limits)
    v = k / (p * q)
    beside = dlogdet.reshape(-1, *[1] * (len(shape) - 1)).astype(np.longdouble)
    dx, plain = both(lambda *given: logit.gradient(*given, alpha), dz, dlogdet, x)
    assert dx.dtype == dtype
    limit = 20 * u * v * (np.abs(dz) + np.abs(beside))
    within((dx,), (v * (dz + beside * (p - q)),), (limit,))
    if dtype == np.float64:
        within((plain,), (v * (dz + beside * (p - q)),), (limit,))


@given(shape=SHAPES, alpha=ALPHAS, dtype=TYPES, seed=st.integers(0, 99))
@settings(deadline=None, max_examples=30)
def test_the_inverse(shape, alpha, dtype, seed):
    u, rows = rounded(dtype), tuple(range(1, len(shape)))
    z = drawn(Key(seed), shape[::-1], dtype, 6.0).T
    wide, k = z.astype(np.longdouble), 1 - 2 * np.longdouble(alpha)
    s, spread = 1 / (1 + np.exp(-wide)), np.abs(wide) + 2 * np.log1p(np.exp(-np.abs(wide)))
    added = 0 if dtype == np.float32 else z[0].size
    limits = 12 * u * (s + alpha) / k, (14 + added) * u * (spread - np.log(k)).sum(rows)
    found, plain = both(lambda z: logit.inverse(z, alpha), z)
    assert all(got.dtype == dtype for got in found)
    within(found, ((s - alpha) / k, -(spread + np.log(k)).sum(rows)), limits)
    if dtype == np.float64:  # its sigmoid is as exact as 1 is
        within(plain, ((s - alpha) / k, -(spread + np.log(k)).sum(rows)), (12 * u / k, limits[1]))


@given(shape=SHAPES, dtype=TYPES, seed=st.integers(0, 99))
@settings(deadline=None, max_examples=20)
def test_pixels_are_filled_first(shape, dtype, seed):
    """The same bits as in two steps: 255 x is an integer, however x was rounded, and 256 is a power of 2."""
    pixels = Key(seed).integers(256, shape)
    x, u = (pixels / dtype(255)).astype(dtype), uniform(Key(seed).at("u"), shape, dtype)
    v = dequantise(x, u)
    assert np.array_equal(v, ((pixels + u) / 256).astype(dtype))
    for mode in ("definition", "numba"):
        with rungs(mode):
            for one, other in zip(logit.of_pixels(x, u, 1e-6), logit.forward(v, 1e-6), strict=True):
                assert one.dtype == dtype
                assert np.array_equal(one, other)


def test_by_the_complex_step():
    x, x_dot, dz = Key(1).uniform((3, 4, 2, 3), float)
    dlogdet, step = Key(2).normal(4, float), 1e-30
    z, logdet = logit.forward(x + 1j * step * x_dot, 0.05)
    moved = ((dz * z).sum() + (dlogdet * logdet).sum()).imag / step
    np.testing.assert_allclose((logit.gradient(dz, dlogdet, x, 0.05) * x_dot).sum(), moved, rtol=1e-12)
    z, back = logit.forward(x, 0.05)[0], logit.inverse(logit.forward(x, 0.05)[0] + 1j * step * x_dot, 0.05)[0]
    np.testing.assert_allclose(back.imag / step * logit.gradient(np.ones_like(x), np.zeros(4), x, 0.05), x_dot, rtol=1e-12)


@RUNGS
def test_the_inverse_goes_back(mode):
    x = Key(3).uniform((5, 300))
    with rungs(mode):
        z, logdet = logit.forward(x, 1e-3)
        again, other = logit.inverse(z, 1e-3)
    assert np.abs(again - x).max() <= 1e-6
    np.testing.assert_allclose(other, -logdet, rtol=1e-6)


@RUNGS
def test_a_nan_stays_in_its_place(mode):
    x, dz = np.full((3, 700), 0.5, np.float32), np.ones((3, 700), np.float32)
    x[1, 321] = np.nan
    with rungs(mode):
        of_x, of_pixels = logit.forward(x, 0.05), logit.of_pixels(x, 0 * dz, 0.05)
        back, dx = logit.inverse(x, 0.05), logit.gradient(dz, np.ones(3, np.float32), x, 0.05)
    for array, logdet in (of_x, of_pixels, back):
        assert np.argwhere(np.isnan(array)).tolist() == [[1, 321]]
        assert np.isnan(logdet).tolist() == [False, True, False]
    assert np.argwhere(np.isnan(dx)).tolist() == [[1, 321]]


@RUNGS
def test_without_alpha_the_walls_are_infinitely_far(mode):
    with rungs(mode), np.errstate(divide="ignore"):
        z, logdet = logit.forward(np.array([[0, 0.5], [1, 0.5]], np.float32), 0.0)
        back = logit.inverse(z, 0.0)[0]
    assert z.tolist() == [[-np.inf, 0], [np.inf, 0]]
    assert (logdet == np.inf).all()
    assert back.tolist() == [[0, 0.5], [1, 0.5]]


def test_no_rows():
    x, none = np.ones((0, 2, 3), np.float32), np.ones(0, np.float32)
    for z, logdet in (logit.forward(x, 0.05), logit.of_pixels(x, x, 0.05), logit.inverse(x, 0.05)):
        assert (z.shape, logdet.shape) == (x.shape, (0,))
    assert logit.gradient(x, none, x, 0.05).shape == x.shape


def test_what_does_not_fit_is_refused():
    x = np.full((4, 3), 0.5, np.float32)
    with pytest.raises(ValueError, match=r"logit.forward: alpha is 0.5, and must lie in \[0, 0.5\)"):
        logit.forward(x, 0.5)
    with pytest.raises(ValueError, match=r"logit.inverse: z has no axes"):
        logit.inverse(x[0, 0, ...].reshape(()), 0.05)
    with pytest.raises(ValueError, match=r"logit.of_pixels: shapes differ, x \(4, 3\), u \(2, 3\)"):
        logit.of_pixels(x, x[:2], 0.05)
    with pytest.raises(ValueError, match=r"logit.gradient: shapes differ"):
        logit.gradient(x[:2], x[:2, 0], x, 0.05)
    with pytest.raises(ValueError, match=r"logit.gradient: dlogdet \(3,\) must have a number for each row of x \(4, 3\)"):
        logit.gradient(x, x[0], x, 0.05)
    with pytest.raises(TypeError, match="mixed precisions"):
        logit.of_pixels(x, x.astype(float), 0.05)
    with pytest.raises(TypeError, match=r"logit.forward: needs floating-point arrays"):
        logit.forward(np.ones((2, 2), int), 0.05)
