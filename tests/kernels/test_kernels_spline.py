"""Splines: rungs against the definition, gradients by the complex step, inverses, edges of bins, and what does not fit."""

from __future__ import annotations

import kernel_cases
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minigen.kernels import rungs, spline
from minigen.kernels.spline.definition import log_slope, trace
from minigen.random import Key

RUNGS = pytest.mark.parametrize("mode", ["definition", "numba"])
SIZES = {"bins": 4, "reach": 2.0, "least": 1e-2}


def drawn(key, n, p, m, bins, dtype, spread=1.0):
    """dz, dlogdet, b as views, h."""
    b, dz = (key.at(name).normal((n, m, p), np.float64).astype(dtype).swapaxes(1, 2) for name in ("b", "dz"))
    h = spread * key.at("h").normal((n, p, (3 * bins - 1) * m), np.float64)
    return dz, key.at("dlogdet").normal(n, np.float64).astype(dtype), b, h.astype(dtype)


def three(dz, dlogdet, b, h, mode="numba", **sizes):
    with rungs(mode):
        return (
            *spline.forward(b, h, **sizes),
            *spline.inverse(b, h, **sizes),
            *spline.gradient(dz, dlogdet, b, h, **sizes),
        )


@given(
    n=st.sampled_from((1, 2, 31)),
    p=st.sampled_from((1, 2, 7)),
    m=st.sampled_from((1, 2, 17)),
    bins=st.sampled_from((2, 3, 8, 32)),
    seed=st.integers(0, 99),
)
@settings(deadline=None, max_examples=40)
def test_as_the_definition(n, p, m, bins, seed):
    """float64 by proof: 1e-16 B / w, a narrow bin makes it 1e-13. float32 by where its knots are, up to (3 K + 30) u B from
    where they should be (one_pass.py): all may differ by what moving a number that far changes, either way. How much that is
    depends on how narrow a bin is: it is asked of the definition, in float64."""
    sizes = {"bins": bins, "reach": 1.5, "least": 1e-3}  # a part of the numbers lies outside
    given = drawn(Key(seed), n, p, m, bins, np.float64)
    exact = three(*given, mode="definition", **sizes)
    for got, true in zip(three(*given, **sizes), exact, strict=True):
        assert got.dtype == np.float64
        kernel_cases.check_close(got, true, 1e-11, scale=np.append(true, 1e-3))
    narrow = [x.astype(np.float32) for x in given]
    dz, dlogdet, b, h = (x.astype(np.float64) for x in narrow)
    off = (3 * bins + 30) * 2.0**-24 * sizes["reach"]
    exact, left, right = (three(dz, dlogdet, b + moved, h, mode="definition", **sizes) for moved in (0, -off, off))
    for got, true, *moved in zip(three(*narrow, **sizes), exact, left, right, strict=True):
        assert got.dtype == np.float32
        assert got.shape == true.shape
        changed = sum(np.linalg.norm(there - true) for there in moved)
        assert np.linalg.norm(got - true) <= changed + 1e-5 * np.linalg.norm(np.append(true, 1))
    with rungs("numba"):
        z = spline.forward(*narrow[2:], **sizes)[0]
    traced = trace(b, h, **sizes)
    stretched = np.where(traced.inside, 1 + np.exp(log_slope(traced.here)), 0)
    assert (np.abs(z - exact[0]) <= (3 * bins + 40) * 2.0**-24 * sizes["reach"] * stretched).all()


def test_by_the_complex_step():
    dz, dlogdet, b, h = drawn(Key(1), 5, 2, 3, 4, np.float64)
    b_dot, h_dot = Key(2).normal(b.shape, np.float64), Key(3).normal(h.shape, np.float64)
    z, logdet = spline.forward(b + 1e-30j * b_dot, h + 1e-30j * h_dot, **SIZES)
    for mode in ("definition", "numba"):
        with rungs(mode):
            db, dh = spline.gradient(dz, dlogdet, b, h, **SIZES)
        moved = ((dz * z).sum() + (dlogdet * logdet).sum()).imag / 1e-30
        np.testing.assert_allclose((db * b_dot).sum() + (dh * h_dot).sum(), moved, rtol=1e-11)


@RUNGS
@pytest.mark.parametrize(("dtype", "bound"), [(np.float32, 2e-5), (np.float64, 1e-12)])
def test_the_inverse_goes_back(mode, dtype, bound):
    _, _, b, h = drawn(Key(5), 40, 2, 3, 4, dtype, spread=0.5)
    with rungs(mode):
        z, logdet = spline.forward(b, h, **SIZES)
        back, other = spline.inverse(z, h, **SIZES)
    assert np.abs(back - b).max() <= bound
    assert np.abs(other + logdet).max() <= 10 * bound
    assert np.abs(z - b).max() > 0.1


@RUNGS
def test_of_zeros_it_is_the_identity_and_so_it_is_outside(mode):
    b = np.linspace(-3, 3, 61, dtype=np.float32).reshape(-1, 1)
    dz, ones, h = np.arange(61, dtype=np.float32).reshape(-1, 1), np.ones(61, np.float32), Key(1).normal((61, 11))
    outside = np.abs(b[:, 0]) >= 2
    with rungs(mode):
        z, logdet = spline.forward(b, 0 * h, **SIZES)
        assert np.abs(z - b).max() <= 1e-6
        assert np.abs(logdet).max() <= 2e-6
        for found in (spline.forward(b, h, **SIZES), spline.inverse(b, h, **SIZES)):
            assert np.array_equal(found[0][outside], b[outside])
            assert (found[1][outside] == 0).all()
            assert (found[1][~outside] != 0).all()
        db, dh = spline.gradient(dz, ones, b, h, **SIZES)
    assert np.array_equal(db[outside], dz[outside])
    assert (dh[outside] == 0).all()
    assert (np.abs(dh[~outside]).sum(1) > 0).all()


@RUNGS
def test_first_and_last_bin_and_a_knot(mode):
    """Bins of one size have their knots at -1, 0 and 1, and there the slopes are the network's own."""
    g = np.array([0.7, -0.4, 1.1])
    h, b = np.r_[np.zeros(8), g][None].repeat(3, 0), np.array([[-1.0], [0.0], [1.0]])
    with rungs(mode):
        z, logdet = spline.forward(b, h, **{**SIZES, "least": 0.0})
        dh = spline.gradient(np.zeros_like(b), np.ones(3), b, h, **{**SIZES, "least": 0.0})[1]
    np.testing.assert_allclose(z, b, atol=1e-15)
    np.testing.assert_allclose(logdet, np.log(np.log1p((np.e - 1) * np.exp(g))), atol=3e-5)  # but for FLAT
    np.testing.assert_allclose(np.diag(dh[:, 8:]), 1 / np.exp(logdet) / (1 + np.exp(-g) / (np.e - 1)), rtol=3e-5)
    assert np.abs(dh[:, 8:][~np.eye(3, dtype=bool)]).max() < 1e-15


@RUNGS
def test_a_nan_stays_with_its_number(mode):
    dz, dlogdet, b, h = drawn(Key(7), 4, 1, 9, 4, np.float32)
    b *= 0.5
    h[1, 0, 9 + 5] = np.nan  # u_1 of number 5
    b[2, 0, 3] = np.nan
    z, logdet, _, _, db, dh = three(dz, dlogdet, b, h, mode=mode, **SIZES)
    assert np.argwhere(np.isnan(z)).tolist() == [[1, 0, 5], [2, 0, 3]]
    assert np.isnan(logdet).tolist() == [False, True, False, False]  # a number that is outside is not stretched
    assert np.argwhere(np.isnan(db)).tolist() == [[1, 0, 5]]
    assert {int(i) % 9 for i in np.argwhere(np.isnan(dh[1, 0]))[:, 0]} == {5}
    assert not np.isnan(dh[[0, 2, 3]]).any()


@RUNGS
def test_of_large_numbers_it_is_finite(mode):
    given = drawn(Key(9), 50, 1, 8, 6, np.float32, spread=150.0)
    for array in three(*given, mode=mode, bins=6, reach=5.0, least=1e-4):
        assert np.isfinite(array).all()


@pytest.mark.parametrize("shape", [(0, 2, 3), (2, 0, 3), (2, 3, 0)])
def test_nothing_to_bend(shape):
    b, h = np.ones(shape, np.float32), np.ones((*shape[:-1], 11 * shape[-1]), np.float32)
    found = three(b, np.zeros(shape[0], np.float32), b, h, **SIZES)
    assert [x.shape for x in found] == [shape, shape[:1], shape, shape[:1], shape, h.shape]


def test_what_does_not_fit_is_refused():
    b, h = np.zeros((4, 3), np.float32), np.zeros((4, 33), np.float32)
    for function in (spline.forward, spline.inverse):
        with pytest.raises(ValueError, match=r"h \(4, 32\) must have 11 numbers for each of \(4, 3\)"):
            function(b, h[:, :32], **SIZES)
        for wrong in ({"bins": 1}, {"least": 0.25}, {"least": -0.1}, {"reach": 0.0}):
            with pytest.raises(ValueError, match="there must be two or more, and together less than all"):
                function(b, h, **{**SIZES, **wrong})
    with pytest.raises(ValueError, match=r"spline.gradient: dlogdet \(3,\) must have a number for each row of b \(4, 3\)"):
        spline.gradient(b, b[0], b, h, **SIZES)
    with pytest.raises(ValueError, match="shapes differ"):
        spline.gradient(b[:2], b[:, 0], b, h, **SIZES)
    with pytest.raises(TypeError, match="mixed precisions"):
        spline.forward(b, h.astype(float), **SIZES)
