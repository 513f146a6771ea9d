"""Upsampling and pooling on the Numba rung: against the definition in float64, at awkward windows, factors and sizes."""

from __future__ import annotations

import kernel_cases
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minigen.kernels import resample, rungs
from minigen.kernels.conv2d.geometry import geometry
from minigen.random import Key

RUNGS = pytest.mark.parametrize("mode", ["definition", "numba"])
BOUND = {np.float32: 1e-6, np.float64: 1e-14}
TYPES, CHANNELS = st.sampled_from((np.float32, np.float64)), st.sampled_from((1, 2, 3, 17))


def drawn(name, shape, dtype):
    return Key(1).at(name).normal(shape, np.float64).astype(dtype)


def both(function, *arguments):
    """(what the Numba rung makes, what the definition makes in float64)."""
    wide = [x.astype(np.float64) if getattr(x, "dtype", None) == np.float32 else x for x in arguments]
    with rungs("numba"):
        got = function(*arguments)
    with rungs("definition"):
        return got, function(*wide)


@pytest.mark.parametrize("kind", resample.KINDS)
@given(n=st.sampled_from((1, 3)), h=st.integers(1, 6), w=st.integers(1, 6), c=CHANNELS, f=st.integers(1, 4), dtype=TYPES)
@settings(deadline=None, max_examples=20)
def test_upsampling(kind, n, h, w, c, f, dtype):
    x, dy = drawn("x", (n, h, w, c), dtype), drawn("dy", (n, f * h, f * w, c), dtype)
    for function, image in ((resample.upsample, x), (resample.upsample_transposed, dy)):
        got, exact = both(function, kind, image, f)
        assert got.dtype == dtype
        kernel_cases.check_close(got, exact, BOUND[dtype], scale=None if function is resample.upsample else f * exact + f)


@st.composite
def windows(draw):
    """(size of an image, geometry)."""
    kernel = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    padding = draw(st.integers(0, kernel[0] - 1)), draw(st.integers(0, kernel[1] - 1))
    size = draw(st.integers(kernel[0], 7)), draw(st.integers(kernel[1], 7))
    return size, geometry(size, kernel, stride=(draw(st.integers(1, 4)), draw(st.integers(1, 4))), padding=padding)


@given(case=windows(), n=st.sampled_from((1, 3)), c=CHANNELS, dtype=TYPES)
@settings(deadline=None, max_examples=40)
def test_pooling(case, n, c, dtype):
    size, g = case
    shape = n, *size, c
    x, dy = np.round(drawn("x", shape, dtype)), drawn("dy", (n, *g.output, c), dtype)  # equal numbers in a window
    for got, exact in (
        both(resample.average, x, g),
        both(resample.average_transposed, dy, shape, g),
    ):
        assert got.dtype == dtype
        kernel_cases.check_close(got, exact, BOUND[dtype], scale=exact + 1)
    (y, winner), (exact, true) = both(resample.largest, x, g)
    assert np.array_equal(y, exact)
    assert np.array_equal(winner, true)
    assert winner.dtype == np.int32
    x_dot = drawn("x_dot", shape, dtype)
    assert np.array_equal(*both(resample.picked, x_dot, winner, g))
    got, exact = both(resample.largest_transposed, dy, winner, shape, g)
    kernel_cases.check_close(got, exact, BOUND[dtype], scale=exact + 1)


@RUNGS
def test_a_nan_wins_and_minus_infinity_may(mode):
    x = np.full((1, 2, 4, 1), -np.inf, np.float32)
    x[0, 1, 1] = np.nan
    with rungs(mode):
        y, winner = resample.largest(x, geometry((2, 4), (2, 2), stride=2))
    assert np.isnan(y[0, 0, 0, 0])
    assert y[0, 0, 1, 0] == -np.inf
    assert winner.reshape(-1).tolist() == [3, 0]


def test_complex_numbers_are_compared_by_their_real_parts():
    g = geometry((2, 2), (2, 2), stride=2)
    x = np.array([1 + 9j, 3 - 5j, 2 + 7j, 0]).reshape(1, 2, 2, 1)
    y, winner = resample.largest(x, g)
    assert (y.item(), winner.item()) == (3 - 5j, 1)


def test_transposes_are_transposes():
    """<dy, A x> = <A' dy, x> for the tables of the Numba rung, whose transposes are made, not written."""
    g = geometry((7, 6), (3, 2), stride=(2, 1), padding=(1, 0))
    x = drawn("x", (2, 7, 6, 3), np.float64)
    with rungs("numba"):
        for there, back in (
            (lambda x: resample.average(x, g), lambda dy: resample.average_transposed(dy, x.shape, g)),
            (lambda x: resample.upsample("bilinear", x, 3), lambda dy: resample.upsample_transposed("bilinear", dy, 3)),
        ):
            y = there(x)
            dy = drawn("dy", y.shape, np.float64)
            np.testing.assert_allclose((dy * y).sum(), (back(dy) * x).sum(), rtol=1e-12)


def test_what_does_not_fit_is_refused():
    x = np.zeros((1, 4, 4, 2), np.float32)
    with pytest.raises(ValueError, match="unknown kind of upsampling 'cubic': choose one of nearest, bilinear"):
        resample.upsample("cubic", x, 2)
    with pytest.raises(ValueError, match=r"resample.upsample: x must have 4 axes, got shape \(4, 4, 2\)"):
        resample.upsample("nearest", x[0], 2)
    with pytest.raises(ValueError, match=r"3 must divide height and width of dy \(1, 4, 4, 2\)"):
        resample.upsample_transposed("nearest", x, 3)
