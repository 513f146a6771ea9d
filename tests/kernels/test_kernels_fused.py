"""Activations, normalisations and what follows a product: one pass against the definition in float64, at awkward sizes."""

from __future__ import annotations

import kernel_cases
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minigen.kernels import activation, conv2d, epilogue, masked_conv2d, matmul, normalise, rungs, sums
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


@given(
    n=BATCHES,
    r=SIZES,
    c=FEW,
    leak=LEAKS,
    kind=st.sampled_from(normalise.KINDS),
    dtype=TYPES,
    seed=st.integers(0, 99),
    data=st.data(),
)
@settings(deadline=None, max_examples=40)
def test_normalisations(n, r, c, leak, kind, dtype, seed, data):
    key, tolerance = Key(seed), 3e-6 if dtype == np.float32 else 1e-13
    x = numbers(key.at("x"), n, r, c, dtype=dtype) + dtype(3)
    dy = numbers(key.at("dy"), n, r, c, dtype=dtype)
    gain, b = (numbers(key.at(name), c, dtype=dtype) for name in ("gain", "b"))
    factor, level, tilt = (numbers(key.at(name), n, c, dtype=dtype) for name in ("r", "level", "tilt"))
    groups = data.draw(st.sampled_from([g for g in (1, 2, 3, 5, c) if c % g == 0]))
    (mean, var, factor_of_var), (true_mean, true_var, r_of) = both(normalise.statistics, x, eps=1e-2, groups=groups)
    kernel_cases.check_close(mean, true_mean, tolerance)
    kernel_cases.check_close(var, true_var, tolerance, scale=true_var + 1)
    kernel_cases.check_close(factor_of_var, 1 / np.sqrt(wide(var) + 1e-2), tolerance)
    options = {"kind": kind, "leak": leak}
    (xhat, y), (true_xhat, true_y) = both(normalise.scale, x, mean, r_of.astype(dtype), gain, b, **options)
    loud = np.abs(true_xhat) + 3 * r_of[:, None]  # x - mean is a difference of numbers near 3
    kernel_cases.check_close(xhat, true_xhat, tolerance, scale=loud)
    kernel_cases.check_close(y, true_y, tolerance, scale=loud * np.abs(wide(gain)) + np.abs(wide(b)))
    made, true = both(normalise.sums, dy, xhat, gain, b, **options)
    for total, exact in zip(made, true, strict=True):
        kernel_cases.check_close(total, exact, tolerance, scale=np.sqrt(r) * np.abs(wide(xhat)).max() + 1)
    for moving in (True, False):
        how = {"groups": groups, "moving": moving, **options}
        dx, exact = both(normalise.gradient, dy, xhat, gain, b, factor, level, tilt, **how)
        sizes = [np.abs(wide(v)) for v in (gain, dy, xhat, level, tilt)]
        size, down, across = sizes[0] * sizes[1], sizes[0] * sizes[3], sizes[0] * sizes[4]
        parts = np.abs(wide(factor))[:, None] * (size + down.sum(1)[:, None, None] + sizes[2] * across.sum(1)[:, None, None])
        kernel_cases.check_close(dx, exact, tolerance, scale=parts)
    how = {"groups": groups, **options}
    for mode in ("definition", "numba"):  # all there, all back: the same passes
        with rungs(mode):
            mean, _, factor = normalise.statistics(x, eps=1e-2, groups=groups)
            apart = *normalise.scale(x, mean, factor, gain, b, **options), factor
            assert all(map(np.array_equal, normalise.forward(x, gain, b, eps=1e-2, **how), apart))
            dx, *found = normalise.backward(dy, xhat, gain, b, factor, **how)
            assert all(map(np.array_equal, found, normalise.sums(dy, xhat, gain, b, **options)))
            np.testing.assert_array_equal(dx, normalise.gradient(dy, xhat, gain, b, factor, *found, **how))


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


PRODUCTS = {  # (function of two arrays and options, their shapes, columns of the result)
    "a b": (matmul.matmul, ((9, 7), (7, 5)), 5),
    "a' b'": (lambda a, b, **o: matmul.matmul(a, b, transpose_a=True, transpose_b=True, **o), ((7, 9), (5, 7)), 5),
    "one row": (matmul.matmul, ((1, 80), (80, 90)), 90),
    "convolution": (conv2d.forward, ((2, 5, 6, 3), (3, 3, 3, 4)), 4),
    "transposed": (lambda x, w, **o: conv2d.input_gradient(x, w, (2, 6, 8, 5), stride=2, **o), ((2, 2, 3, 4), (3, 3, 5, 4)), 5),
    "in groups": (lambda x, w, **o: conv2d.forward(x, w, groups=2, **o), ((1, 4, 4, 6), (2, 2, 3, 4)), 4),
    "masked": (lambda x, w, **o: masked_conv2d.forward(x, w, ((-1, 0), (0, 0)), **o), ((2, 3, 4, 2), (2, 2, 3)), 3),
}


@pytest.mark.parametrize("name", PRODUCTS)
@pytest.mark.parametrize("mode", ["definition", "numba"])
def test_a_product_takes_what_follows_it(name, mode):
    """f(product + bias), whichever of the two is there, and into `out`."""
    function, shapes, columns = PRODUCTS[name]
    first, second, bias = (Key(i).normal(shape) for i, shape in enumerate((*shapes, columns)))
    with rungs("definition"):
        exact = function(wide(first), wide(second))
    with rungs(mode):
        for b, leak in ((None, 0.0), (bias, 1.0), (bias, 0.2), (None, 1.0)):
            u = exact if b is None else exact + wide(b)
            into = np.full(exact.shape, np.nan, np.float32)
            assert function(first, second, bias=b, leak=leak, out=into) is into
            kernel_cases.check_close(into, np.where(u > 0, u, leak * u), 2e-6, scale=np.abs(exact).max() + 1)
            assert np.array_equal(into, function(first, second, bias=b, leak=leak))


def test_a_product_added_to_is_finished_at_last():
    a, b, bias, held = (Key(i).normal(shape) for i, shape in enumerate(((9, 7), (7, 5), (5,), (9, 5))))
    u = wide(a) @ wide(b) + wide(held) + wide(bias)
    matmul.matmul(a, b, out=held, accumulate=True, bias=bias, leak=0.1)
    kernel_cases.check_close(held, np.where(u > 0, u, 0.1 * u), 2e-6)


@pytest.mark.parametrize("name", PRODUCTS)
def test_what_cannot_follow_a_product(name):
    function, shapes, columns = PRODUCTS[name]
    first, second = (Key(i).normal(shape) for i, shape in enumerate(shapes))
    with pytest.raises(
        ValueError, match=rf"the bias \(9999,\) does not fit the {columns} columns of y: it must be \({columns},\)"
    ):
        function(first, second, bias=np.zeros(9999, np.float32))
    with pytest.raises(TypeError, match="mixed precisions"):
        function(first, second, bias=np.zeros(columns))
    with pytest.raises(ValueError, match=r"leak=-0\.5 hides the sign of u"):
        function(first, second, leak=-0.5)


@given(n=BATCHES, r=SIZES, c=FEW, dtype=TYPES, seed=st.integers(0, 99))
@settings(deadline=None, max_examples=40)
def test_sums_over_rows(n, r, c, dtype, seed):
    x, held, tolerance = (
        numbers(Key(seed), n, r, c, dtype=dtype),
        numbers(Key(1), n, c, dtype=dtype),
        5e-7 if dtype == np.float32 else 1e-14,
    )
    size = np.abs(wide(x)).sum(1) + 1
    made, exact = both(sums.over_rows, x)
    kernel_cases.check_close(made, exact, tolerance, scale=size)
    kernel_cases.check_close(both(sums.over_rows, x[0])[0], exact[0], tolerance, scale=size)
    for mode in ("numba", "definition"):
        with rungs(mode):
            into = held.copy()
            assert sums.over_rows(x, out=into, accumulate=True) is into
            kernel_cases.check_close(into, exact + wide(held), tolerance, scale=size + 3)
            assert sums.over_rows(x, out=into) is into
            kernel_cases.check_close(into, exact, tolerance, scale=size)


@given(n=SIZES, d=SIZES, dtype=TYPES, seed=st.integers(0, 99))
@settings(deadline=None, max_examples=30)
def test_inner_products(n, d, dtype, seed):
    """Number by number, within what the kernel promises; added to an `out` they are rounded once more."""
    a, b = (numbers(Key(seed).at(name), d, n, dtype=dtype).T for name in "ab")  # views
    held, u = numbers(Key(1), n, dtype=dtype), 2.0**-24 if dtype == np.float32 else d * 2.0**-51
    made, exact = both(sums.products, a, b)
    size = np.abs(wide(a) * wide(b)).sum(1)
    assert made.dtype == dtype
    assert (np.abs(made - exact) <= 2 * u * size).all()
    whole, of_all = both(sums.inner, a, b)
    assert whole.dtype == dtype
    assert np.shape(whole) == ()
    assert abs(whole - of_all) <= 6 * u * np.sqrt(n) * size.sum()
    for mode in ("numba", "definition"):
        with rungs(mode):
            into = held.copy()
            assert sums.products(a, b, out=into, accumulate=True) is into
            kernel_cases.check_close(into, exact + wide(held), 5e-7 if dtype == np.float32 else 1e-14, scale=size + 3)
            assert sums.products(a, b, out=into) is into
            kernel_cases.check_close(into, exact, 5e-7 if dtype == np.float32 else 1e-14, scale=size + 1)


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
    with pytest.raises(ValueError, match=r"normalise.forward: b \(3, 16\) must be \(16,\)"):
        normalise.forward(x, g, v, eps=1e-5)
    with pytest.raises(ValueError, match=r"normalise.backward: r \(16,\) must be \(3, 16\)"):
        normalise.backward(x, x, g, g, g)
    with pytest.raises(ValueError, match=r"normalise.statistics: 3 groups do not divide 16 channels evenly"):
        normalise.statistics(x, eps=1e-5, groups=3)


def test_a_large_mean_does_not_hide_the_variance():
    """The sum of x^2 less R mean^2 would have no digit left here."""
    x = 1000 + numbers(Key(0), 1, 5000, 3, dtype=np.float32)
    (_, var, _), (_, exact, _) = both(normalise.statistics, x, eps=1e-5)
    assert np.abs(var / exact - 1).max() <= 1e-4


def test_nan_stays():
    x = np.full((1, 700, 3), np.nan, np.float32)
    one = np.ones((1, 3), np.float32)
    with rungs("numba"):
        for kind in activation.KINDS:
            assert np.isnan(activation.forward(kind, x, leak=0.5)).all()
            assert np.isnan(activation.gradient(kind, x, x, leak=0.5)).all()
        assert np.isnan(normalise.statistics(x, eps=1e-5)).all()
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
    with pytest.raises(ValueError, match=r"the bias \(4,\) does not fit the 3 columns of y"):
        epilogue.finish(x, np.zeros(4, np.float32))
    with pytest.raises(ValueError, match=r"epilogue\.back: shapes differ"):
        epilogue.back(x, x[:3], leak=0.0)
    with pytest.raises(ValueError, match=r"sums.over_rows: x must be \(R, C\) or \(B, R, C\), got shape \(3,\)"):
        sums.over_rows(x[0])
    with pytest.raises(ValueError, match="accumulate=True adds into out: pass out="):
        sums.over_rows(x, accumulate=True)
    with pytest.raises(ValueError, match=r"sums.over_rows: out must be \(3,\) float32, got \(4,\) float32"):
        sums.over_rows(x, out=np.zeros(4, np.float32))
    with pytest.raises(ValueError, match=r"sums.inner: shapes differ, a \(4, 3\), b \(2, 3\)"):
        sums.inner(x, x[:2])
    with pytest.raises(ValueError, match=r"sums.products: shapes differ, a \(4, 3\), b \(2, 3\)"):
        sums.products(x, x[:2])
    with pytest.raises(ValueError, match=r"sums.products: accumulate=True adds into out: pass out="):
        sums.products(x, x, accumulate=True)
    with pytest.raises(ValueError, match=r"sums.products: out must be \(4,\) float32, got \(3,\) float32"):
        sums.products(x, x, out=x[0])
    with pytest.raises(ValueError, match="after a normalisation"):
        normalise.sums(x[None], x[None], x[0], x[0], kind="tanh")
