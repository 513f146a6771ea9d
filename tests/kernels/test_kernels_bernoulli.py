"""The Bernoulli likelihood on every rung: values, stability, and a gradient proved by the complex step."""

from __future__ import annotations

import kernel_cases
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minigen.kernels import bernoulli, rungs
from minigen.random import Key

RUNGS = pytest.mark.parametrize("mode", ["definition", "numba"])


def pixels(key, shape, dtype=np.float32, spread=6.0):
    return (spread * key.at("z").normal(shape, np.float64)).astype(dtype), key.at("x").uniform(shape, np.float64).astype(dtype)


def of_one_row(z, x):
    """The sum over all elements, and its gradient: of arrays that are one row."""
    total, dz = bernoulli.loss(z[None], x[None])
    return total, dz[0]


@given(n=st.sampled_from((1, 2, 15, 17, 4095, 4096, 4097, 9001, 20_001)), wide=st.booleans(), seed=st.integers(0, 99))
@settings(deadline=None, max_examples=30)
def test_numba_equals_definition(n, wide, seed):
    z, x = pixels(Key(seed), (n,), np.float64 if wide else np.float32)
    with rungs("definition"):
        expected, gradient = of_one_row(z.astype(np.float64), x.astype(np.float64))
    with rungs("numba"):
        total, dz = of_one_row(z, x)
    assert isinstance(total, float)
    assert dz.dtype == z.dtype
    p = gradient + x  # dz = p - x, and p may be as good as x
    kernel_cases.check_close(dz, gradient, 3e-7 if dz.dtype == np.float32 else 1e-14, scale=np.hypot(p, x))
    assert abs(total - expected) <= (1e-6 if dz.dtype == np.float32 else 1e-13) * max(1, abs(expected))


def test_definition_is_the_formula():
    z, x = pixels(Key(1), (50,), np.float64, spread=2.0)
    p = 1 / (1 + np.exp(-z))
    total, dz = of_one_row(z, x)
    np.testing.assert_allclose(total, -(x * np.log(p) + (1 - x) * np.log(1 - p)).sum(), rtol=1e-13)
    np.testing.assert_allclose(dz, p - x, rtol=1e-12)


def test_complex_step():
    """Exact through both branches, and at z = 0 between them."""
    z, x = pixels(Key(2), (30,), np.float64)
    z[0], direction = 0.0, Key(3).normal((30,), np.float64)
    _, dz = of_one_row(z, x)
    for z_step, x_step, slope in ((direction, 0, dz @ direction), (0, direction, -z @ direction)):
        total, _ = of_one_row(z + 1e-30j * z_step, x + 1e-30j * x_step)
        assert isinstance(total, complex)
        assert abs(total.imag / 1e-30 - slope) <= 1e-13 * np.linalg.norm(dz) * np.linalg.norm(direction) + 1e-12


def test_complex_step_through_the_gradient():
    z, x = pixels(Key(4), (30,), np.float64)
    _, dz = of_one_row(z + 1e-30j, x)
    p = 1 / (1 + np.exp(-z))
    np.testing.assert_allclose(dz.imag / 1e-30, p * (1 - p), rtol=1e-9)


@RUNGS
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_extreme_logits(mode, dtype):
    z = np.array([-1e4, -200, -90, -50, -17, 0, 17, 50, 90, 200, 1e4], dtype)
    for pixel in (0.0, 1.0):
        x = np.full_like(z, pixel)
        with rungs(mode):
            total, dz = of_one_row(z, x)
        assert np.isfinite(dz).all()
        np.testing.assert_allclose(total, 10200 + 90 + 50 + 17 + np.log(2), rtol=1e-6)
        assert abs(dz[0] - (0 if pixel == 0 else -1)) < 1e-37
        assert abs(dz[-1] - (1 if pixel == 0 else 0)) < 1e-37


@RUNGS
def test_shape_out_and_strides(mode):
    z, x = pixels(Key(5), (3, 4, 5, 1))
    out = np.full_like(z, 9)
    with rungs(mode):
        total, dz = bernoulli.loss(z, x, out=out)
        again, far = bernoulli.loss(z.transpose(0, 2, 1, 3), x.transpose(0, 2, 1, 3))
    assert dz is out
    assert abs(total - again) <= 1e-6 * total
    np.testing.assert_array_equal(far.transpose(0, 2, 1, 3), dz)


@RUNGS
def test_nan_comes_through(mode):
    z, x = pixels(Key(6), (5000,))
    z[4321] = np.nan
    with rungs(mode):
        total, dz = of_one_row(z, x)
    assert np.isnan(total)
    assert np.flatnonzero(np.isnan(dz)).tolist() == [4321]


@RUNGS
def test_empty(mode):
    z = np.zeros((0, 4), np.float32)
    with rungs(mode):
        total, dz = of_one_row(z, z)
    assert total == 0
    assert dz.shape == (0, 4)


def test_the_sum_is_taken_in_float64():
    z = np.full(1 << 20, 1e-3, np.float32)
    x = np.zeros_like(z)
    exact = (1 << 20) * np.log1p(np.exp(np.float64(z[0])))
    for mode in ("definition", "numba"):
        with rungs(mode):
            assert abs(of_one_row(z, x)[0] / exact - 1) <= 1e-7


@RUNGS
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex128])
def test_a_mean_over_the_rows_whose_gradient_is_scaled(mode, dtype):
    z, x = pixels(Key(8), (6, 50))
    z, x = z.astype(dtype), x.astype(dtype)
    (total, of_total), scale = of_one_row(z, x), -0.7
    with rungs(mode):
        value, dz = bernoulli.loss(z, x, scale=scale)
    tolerance = 1e-6 if dtype == np.float32 else 1e-14
    assert abs(6 * value / total - 1) <= tolerance
    assert np.abs(6 * dz - scale * of_total).max() <= tolerance


def test_errors_say_what_to_do():
    z, x = pixels(Key(7), (4, 5))
    with pytest.raises(ValueError, match=r"bernoulli: shapes differ, logits \(4, 5\), x \(5,\): broadcast"):
        bernoulli.loss(z, x[0])
    with pytest.raises(TypeError, match="convert with x"):
        bernoulli.loss(z, np.ones((4, 5), np.uint8))
    with pytest.raises(ValueError, match="out must be"):
        bernoulli.loss(z, x, out=np.empty((5, 4), np.float32))


# ---- rows: K decodings of every image

ROWS = st.tuples(st.sampled_from((1, 3)), st.sampled_from((1, 2, 7)), st.sampled_from((1, 15, 17, 784)))


def rows_of(key, N, K, P, dtype):
    z, _ = pixels(key, (N, K, P), dtype)
    return z, key.at("x").uniform((N, P), np.float64).astype(dtype), key.at("dnll").normal((N, K), np.float64).astype(dtype)


@given(shape=ROWS, wide=st.booleans(), seed=st.integers(0, 99))
@settings(deadline=None, max_examples=30)
def test_rows_are_the_sums_of_their_parts(shape, wide, seed):
    N, K, P = shape
    z, x, dnll = rows_of(Key(seed), N, K, P, np.float64 if wide else np.float32)
    with rungs("numba"):
        nll, dz = bernoulli.rows(z, x), bernoulli.rows_gradient(z, x, dnll)
    assert nll.dtype == dz.dtype == z.dtype
    for n in range(N):
        for k in range(K):
            with rungs("definition"):
                total, gradient = of_one_row(z[n, k].astype(np.float64), x[n].astype(np.float64))
            assert abs(nll[n, k] - total) <= (1e-6 if not wide else 1e-13) * max(1, abs(total))
            scale = np.hypot(gradient + x[n], x[n]) * abs(float(dnll[n, k]))
            kernel_cases.check_close(dz[n, k], dnll[n, k] * gradient, 4e-7 if not wide else 1e-14, scale=scale)


def test_the_gradient_of_rows_by_the_complex_step():
    z, x, dnll = rows_of(Key(11), 3, 4, 9, np.float64)
    direction = Key(12).normal(z.shape, np.float64)
    moved = bernoulli.rows(z + 1e-30j * direction, x).imag / 1e-30  # (3, 4)
    np.testing.assert_allclose((dnll * moved).sum(), (bernoulli.rows_gradient(z, x, dnll) * direction).sum(), rtol=1e-12)
    turned = bernoulli.rows_gradient(z + 1e-30j * direction, x, dnll).imag / 1e-30
    p = 1 / (1 + np.exp(-z))
    np.testing.assert_allclose(turned, dnll[..., None] * p * (1 - p) * direction, rtol=1e-9)


@RUNGS
def test_a_nan_stays_in_its_row(mode):
    z, x, dnll = rows_of(Key(13), 3, 100, 50, np.float32)
    z[1, 7, 3] = np.nan
    with rungs(mode):
        nll, dz = bernoulli.rows(z, x), bernoulli.rows_gradient(z, x, dnll)
    assert np.argwhere(np.isnan(nll)).tolist() == [[1, 7]]
    assert np.argwhere(np.isnan(dz)).tolist() == [[1, 7, 3]]


def test_rows_that_do_not_fit():
    z, x, _ = rows_of(Key(14), 3, 4, 5, np.float32)
    with pytest.raises(ValueError, match=r"logits \(3, 4, 5\) must be \(N, K, P\) and x \(3, 4\) \(N, P\)"):
        bernoulli.rows(z, x[:, :4])
    with pytest.raises(ValueError, match=r"dnll \(3, 5\) must be \(3, 4\)"):
        bernoulli.rows_gradient(z, x, z[0, :3])
    with pytest.raises(TypeError, match="convert"):
        bernoulli.rows(z, x.astype(np.float64))
