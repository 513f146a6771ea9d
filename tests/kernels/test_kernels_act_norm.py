"""A gain and a bias for every channel: each number within what its kernel promises, by the complex step, inverse, errors."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minigen.kernels import act_norm, rungs
from minigen.random import Key

RUNGS = pytest.mark.parametrize("mode", ["definition", "numba"])
ROWS = 512


def drawn(key, n, p, c, dtype):
    """dz and x as views, dlogdet, s, b."""
    x, dz = (key.at(name).normal((n, c, p), np.float64).astype(dtype).swapaxes(1, 2) for name in ("x", "dz"))
    rest = key.at("dlogdet").normal(n, np.float64), key.at("s").normal(c, np.float64), key.at("b").normal(c, np.float64)
    return dz, x, *(v.astype(dtype) for v in rest)


@given(
    n=st.sampled_from((1, 2, 31)),
    p=st.sampled_from((1, 2, 49, 300)),
    c=st.sampled_from((1, 2, 15, 33, 200)),
    dtype=st.sampled_from((np.float32, np.float64)),
    seed=st.integers(0, 99),
)
@settings(deadline=None, max_examples=40)
def test_there_and_back(n, p, c, dtype, seed):
    u = np.finfo(dtype).eps / 2
    given = dz, x, dlogdet, s, b = drawn(Key(seed), n, p, c, dtype)
    wide = [v.astype(np.longdouble) for v in given]
    with rungs("definition"):
        exact = *act_norm.forward(wide[1], *wide[3:]), *act_norm.inverse(wide[1], *wide[3:])
        exact += act_norm.gradient(wide[0], wide[2], wide[1], wide[3])
    with rungs("numba"):
        found = *act_norm.forward(x, s, b), *act_norm.inverse(x, s, b), *act_norm.gradient(dz, dlogdet, x, s)
        alone = act_norm.gradient(dz, dlogdet, x, s, sums=False)
    e, sizes = np.exp(wide[3]), [np.abs(v) for v in wide]
    of_s = np.full(n, p * sizes[3].sum())
    rounded = 1.01 if dtype == np.float32 else c + 1  # float64 is no wider than the sum
    stretch = p * sizes[2].sum()
    limits = (
        6 * (sizes[1] * e + sizes[4]),
        rounded * of_s,
        7 * (sizes[1] + sizes[4]) / e,
        rounded * of_s,
        5 * np.abs(exact[4]),
        (ROWS + 6) * (np.abs(exact[4]) * sizes[1]).sum((0, 1)) + (6 + n) * stretch,
        ROWS * sizes[0].sum((0, 1)),
    )
    for got, true, limit in zip(found, exact, limits, strict=True):
        assert got.dtype == dtype
        assert (np.abs(got - true) <= limit * u).all()
    assert np.array_equal(alone[0], found[4])
    assert alone[1:] == (None, None)


def test_by_the_complex_step():
    dz, x, dlogdet, s, b = drawn(Key(1), 3, 4, 5, np.float64)
    x_dot, s_dot, b_dot = (Key(i).normal(v.shape, np.float64) for i, v in enumerate((x, s, b)))
    z, logdet = act_norm.forward(x + 1e-30j * x_dot, s + 1e-30j * s_dot, b + 1e-30j * b_dot)
    dx, ds, db = act_norm.gradient(dz, dlogdet, x, s)
    moved = ((dz * z).sum() + (dlogdet * logdet).sum()).imag / 1e-30
    np.testing.assert_allclose((dx * x_dot).sum() + (ds * s_dot).sum() + (db * b_dot).sum(), moved, rtol=1e-12)


@RUNGS
def test_the_inverse_goes_back(mode):
    _, x, _, s, b = drawn(Key(2), 5, 40, 7, np.float32)
    with rungs(mode):
        z, logdet = act_norm.forward(x, s, b)
        back, other = act_norm.inverse(z, s, b)
    assert np.abs(back - x).max() <= 2e-6 * np.exp(np.abs(s)).max()
    assert np.array_equal(other, -logdet)
    np.testing.assert_allclose(logdet, np.full(5, 40 * s.sum(dtype=float)), rtol=1e-6)


@RUNGS
def test_a_nan_stays_with_its_channel(mode):
    dz, x, dlogdet, s, b = drawn(Key(3), 4, 30, 9, np.float32)
    x = x.copy()
    x[1, 7, 5] = np.nan
    with rungs(mode):
        z = act_norm.forward(x, s, b)[0]
        dx, ds, db = act_norm.gradient(dz, dlogdet, x, s)
    assert np.argwhere(np.isnan(z)).tolist() == [[1, 7, 5]]
    assert np.argwhere(np.isnan(ds)).tolist() == [[5]]
    assert np.isfinite(dx).all()
    assert np.isfinite(db).all()


def test_no_rows():
    x, s = np.ones((0, 2, 3), np.float32), np.ones(3, np.float32)
    z, logdet = act_norm.forward(x, s, s)
    dx, ds, db = act_norm.gradient(z, logdet, x, s)
    assert (z.shape, logdet.shape, dx.shape) == (x.shape, (0,), x.shape)
    assert (ds == 0).all()
    assert (db == 0).all()


def test_what_does_not_fit_is_refused():
    x, s = np.zeros((4, 2, 3), np.float32), np.zeros(3, np.float32)
    for function in (act_norm.forward, act_norm.inverse):
        with pytest.raises(ValueError, match=r"b \(2,\) does not fit the channels of \(4, 2, 3\)"):
            function(x, s, s[:2])
        with pytest.raises(TypeError, match="mixed precisions"):
            function(x, s, s.astype(float))
    with pytest.raises(ValueError, match="must have 3 axes"):
        act_norm.forward(x[0], s, s)
    with pytest.raises(ValueError, match=r"act_norm.gradient: dlogdet \(3,\) must have a number for each row of x \(4, 2, 3\)"):
        act_norm.gradient(x, s, x, s)
    with pytest.raises(ValueError, match="shapes differ"):
        act_norm.gradient(x[:2], s, x, s)
