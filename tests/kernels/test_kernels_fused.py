"""Activations, normalisations and what follows a product: one pass against the definition in float64, at awkward sizes."""

from __future__ import annotations

import kernel_cases
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minigen.kernels import activation, epilogue, normalise, rungs
from minigen.random import Key

SIZES = st.sampled_from((1, 2, 15, 16, 17, 31, 100, 513))
LEAKS = st.sampled_from((0.0, 0.2, 1.0, 1.5))
TYPES = st.sampled_from((np.float32, np.float64))
BATCHES, FEW = st.sampled_from((1, 2, 3)), st.sampled_from((1, 2, 5, 16, 33))


def numbers(key, *shape, dtype, spread=1.0):
    return (spread * key.normal(shape, np.float64)).astype(dtype)


def wide(x):
    return x.astype(np.float64) if isinstance(x, np.ndarray) else x


def both(function, *arrays, **options):
    """(what the Numba rung makes, what the definition makes in float64)."""
    with rungs("numba"):
        got = function(*arrays, **options)
    with rungs("definition"):
        return got, function(*map(wide, arrays), **options)


@pytest.mark.parametrize("kind", activation.KINDS)
@given(n=st.one_of(SIZES, st.just(6001)), leak=LEAKS, dtype=TYPES, seed=st.integers(0, 99))
@settings(deadline=None, max_examples=20)
def test_activations(kind, n, leak, dtype, seed):
    key = Key(seed)
    x, dy = numbers(key.at("x"), n, 3, dtype=dtype, spread=4.0), numbers(key.at("dy"), n, 3, dtype=dtype)
    with rungs("numba"):
        y, dx = activation.forward(kind, x, leak=leak), activation.gradient(kind, dy, x, leak=leak)
    with rungs("definition"):
        exact, slope = activation.forward(kind, wide(x), leak=leak), activation.slope(kind, wide(x), leak)
    assert y.dtype == dx.dtype == dtype
    tolerance = 5e-7 if dtype == np.float32 else 1e-14
    kernel_cases.check_close(y, exact, tolerance, scale=np.maximum(np.abs(exact), 1e-30))
    assert np.abs(dx - wide(dy) * slope).max() <= tolerance * np.abs(wide(dy)).max()


@given(n=BATCHES, r=SIZES, c=FEW, leak=LEAKS, kind=st.sampled_from(normalise.KINDS), dtype=TYPES, seed=st.integers(0, 99))
@settings(deadline=None, max_examples=40)
def test_normalisations(n, r, c, leak, kind, dtype, seed):
    key, tolerance = Key(seed), 3e-6 if dtype == np.float32 else 1e-13
    x = numbers(key.at("x"), n, r, c, dtype=dtype) + dtype(3)
    dy = numbers(key.at("dy"), n, r, c, dtype=dtype)
    gain, b = (numbers(key.at(name), c, dtype=dtype) for name in ("gain", "b"))
    straight, level, tilt = (numbers(key.at(name), n, c, dtype=dtype) for name in ("straight", "level", "tilt"))

    (mean, var), (true_mean, true_var) = both(normalise.moments, x)
    kernel_cases.check_close(mean, true_mean, tolerance)
    kernel_cases.check_close(var, true_var, tolerance, scale=true_var + 1)
    r_of = (true_var + 1e-5) ** -0.5
    options = {"kind": kind, "leak": leak}
    (xhat, y), (true_xhat, true_y) = both(normalise.scale, x, mean, r_of.astype(dtype), gain, b, **options)
    loud = np.abs(true_xhat) + 3 * r_of[:, None]  # x - mean is a difference of numbers near 3
    kernel_cases.check_close(xhat, true_xhat, tolerance, scale=loud)
    kernel_cases.check_close(y, true_y, tolerance, scale=loud * np.abs(wide(gain)) + np.abs(wide(b)))
    made, true = both(normalise.sums, dy, xhat, gain, b, **options)
    for total, exact in zip(made, true, strict=True):
        kernel_cases.check_close(total, exact, tolerance, scale=np.sqrt(r) * np.abs(wide(xhat)).max() + 1)
    dx, exact = both(normalise.gradient, dy, xhat, gain, b, straight, level, tilt, **options)
    parts = np.abs(wide(dy) * wide(straight)[:, None]) + np.abs(wide(level))[:, None] + np.abs(wide(xhat * tilt[:, None]))
    kernel_cases.check_close(dx, exact, tolerance, scale=parts)


@given(r=SIZES, m=FEW, leak=LEAKS, bias=st.booleans(), dtype=TYPES, seed=st.integers(0, 99))
@settings(deadline=None, max_examples=40)
def test_what_follows_a_product(r, m, leak, bias, dtype, seed):
    key, tolerance = Key(seed), 1e-6 if dtype == np.float32 else 1e-14
    product, dy = (numbers(key.at(name), r, m, dtype=dtype) for name in ("product", "dy"))
    b = numbers(key.at("b"), m, dtype=dtype) if bias else None
    y, true = product.copy(), wide(product)
    with rungs("numba"):
        epilogue.finish(y, b, leak=leak)
    with rungs("definition"):
        epilogue.finish(true, wide(b), leak=leak)
    kernel_cases.check_close(y, true, tolerance, scale=np.abs(wide(product)) + (0 if b is None else np.abs(wide(b))))
    (du, db), (true_du, true_db) = both(epilogue.back, dy, y, leak=leak)
    kernel_cases.check_close(du, true_du, tolerance)
    kernel_cases.check_close(db, true_db, tolerance, scale=np.abs(true_du).sum(0))
    assert epilogue.back(dy, y, leak=leak, sums=False)[1] is None


def test_real_beside_complex_is_for_the_definition():
    """The complex step of a parameter, at a size at which all real numbers go to a kernel."""
    x, v, g = np.ones((1, 32, 32), np.float32), np.ones((1, 32), np.float32), np.ones(32, np.float32)
    far = g.astype(np.complex64)
    for made in (
        *normalise.scale(x, v, v, g, far)[1:],
        *normalise.sums(x, x, g, far),
        normalise.gradient(x, x, far, g, v, v, v),
        epilogue.back(x[0], x[0].astype(np.complex64), leak=0.1)[0],
    ):
        assert np.isfinite(made).all()


def test_what_stands_beside_normalised_values_must_fit():
    x, v, g = np.ones((3, 64, 16), np.float32), np.ones((3, 16), np.float32), np.ones(16, np.float32)
    with pytest.raises(
        ValueError, match=r"normalise.scale: r \(1, 16\) must be \(3, 16\) beside values of shape \(3, 64, 16\)"
    ):
        normalise.scale(x, v, v[:1], g, g)
    with pytest.raises(ValueError, match=r"normalise.sums: gain \(3, 16\) must be \(16,\)"):
        normalise.sums(x, x, v, g)
    with pytest.raises(ValueError, match=r"normalise.gradient: tilt \(16,\) must be \(3, 16\)"):
        normalise.gradient(x, x, g, g, v, v, g)


def test_a_large_mean_does_not_hide_the_variance():
    """The sum of x^2 less R mean^2 would have no digit left here."""
    x = 1000 + numbers(Key(0), 1, 5000, 3, dtype=np.float32)
    (_, var), (_, exact) = both(normalise.moments, x)
    assert np.abs(var / exact - 1).max() <= 1e-4


def test_nan_stays():
    x = np.full((1, 700, 3), np.nan, np.float32)
    one = np.ones((1, 3), np.float32)
    with rungs("numba"):
        for kind in activation.KINDS:
            assert np.isnan(activation.forward(kind, x, leak=0.5)).all()
            assert np.isnan(activation.gradient(kind, x, x, leak=0.5)).all()
        assert np.isnan(normalise.moments(x)).all()
        assert np.isnan(normalise.scale(x, one, one, one[0], one[0])[1]).all()
        y = x[0].copy()
        epilogue.finish(y, None, leak=0.5)
        assert np.isnan(y).all()


@pytest.mark.parametrize("mode", ["definition", "numba"])
def test_far_out(mode):
    """No overflow, and no infinity times zero."""
    x = np.array([-np.inf, -200, 200, np.inf], np.float32)
    limits = {"tanh": [-1, -1, 1, 1], "sigmoid": [0, 0, 1, 1], "softplus": [0, 0, 200, np.inf], "leaky": x}
    with rungs(mode):
        for kind, expected in limits.items():
            assert np.array_equal(activation.forward(kind, x, leak=1.0), expected), kind


def test_errors_name_what_is_wrong():
    x = np.zeros((4, 3), np.float32)
    with pytest.raises(ValueError, match="unknown activation 'swish'"):
        activation.forward("swish", x)
    with pytest.raises(ValueError, match="hides the sign"):
        epilogue.finish(x, None, leak=-0.1)
    with pytest.raises(ValueError, match="does not fit the columns"):
        epilogue.finish(x, np.zeros(4, np.float32))
    with pytest.raises(ValueError, match="needs y"):
        epilogue.back(x, None, leak=0.0)
    with pytest.raises(ValueError, match="after a normalisation"):
        normalise.sums(x[None], x[None], x[0], x[0], kind="tanh")
