"""The convolution by a list of taps on every rung: against a convolution with a kernel of zeros, and with awkward shapes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_cases import check_close

from minigen.kernels import conv2d, masked_conv2d, rungs
from minigen.random import Key

RUNGS = pytest.mark.parametrize("mode", ["definition", "numba"])
TAP = st.tuples(st.integers(-3, 3), st.integers(-3, 3))


@st.composite
def masked(draw):
    """x's shape, the number of outputs, and a list of taps."""
    size = st.sampled_from((1, 2, 3, 5, 7, 8))
    shape = draw(st.sampled_from((1, 2, 3))), draw(size), draw(size), draw(st.sampled_from((1, 2, 3, 16, 17, 33)))
    return shape, draw(st.sampled_from((1, 3, 4, 5, 16, 31, 33, 64))), tuple(draw(st.lists(TAP, min_size=1, unique=True)))


def dense(w, taps):
    """The kernel (7, 7, C, M) with zeros where no tap is."""
    kernel = np.zeros((7, 7, *w.shape[1:]), w.dtype)
    for tap, matrix in zip(taps, w, strict=True):
        kernel[tap[0] + 3, tap[1] + 3] = matrix
    return kernel


@RUNGS
@settings(max_examples=25, deadline=None)
@given(case=masked())
def test_it_is_the_convolution_with_a_kernel_of_zeros(mode, case):
    shape, M, taps = case
    x, w = Key(1).normal(shape, np.float64), Key(2).normal((len(taps), shape[3], M), np.float64)
    dy, kernel = Key(3).normal((*shape[:3], M), np.float64), dense(w, taps)
    single = [a.astype(np.float32) for a in (x, w, dy)]
    for dtype, (x_, w_, dy_) in ((np.float64, (x, w, dy)), (np.float32, single)):
        with rungs(mode):
            y = masked_conv2d.forward(x_, w_, taps)
            dx = masked_conv2d.input_gradient(dy_, w_, taps)
            dw = masked_conv2d.weight_gradient(x_, dy_, taps)
        assert y.dtype == dx.dtype == dw.dtype == dtype
        with rungs("definition"):
            check_close(y, conv2d.forward(x, kernel, padding=3))
            check_close(dx, conv2d.input_gradient(dy, kernel, shape, padding=3))
            of_all = conv2d.weight_gradient(x, dy, (7, 7), padding=3)
            check_close(dw, np.stack([of_all[r + 3, s + 3] for r, s in taps]), 2e-6 if dtype == np.float32 else 1e-13)


@RUNGS
def test_into_an_array_and_added_to_one(mode):
    taps = ((-1, 0), (0, -1))
    x, w = Key(1).normal((2, 5, 4, 3), np.float64), Key(2).normal((2, 3, 6), np.float64)
    dy = Key(3).normal((2, 5, 4, 6), np.float64)
    with rungs(mode):
        into = np.full((2, 5, 4, 6), np.nan)
        assert masked_conv2d.forward(x, w, taps, out=into) is into
        check_close(into, masked_conv2d.forward(x, w, taps))
        dx = np.full(x.shape, np.nan)
        assert masked_conv2d.input_gradient(dy, w, taps, out=dx) is dx
        check_close(dx, masked_conv2d.input_gradient(dy, w, taps))
        dw = masked_conv2d.weight_gradient(x, dy, taps)
        twice = dw.copy()
        masked_conv2d.weight_gradient(x, dy, taps, out=twice, accumulate=True)
        check_close(twice, 2 * dw)
        strided = masked_conv2d.forward(x[:, ::-1, ::2], w[::-1], taps[::-1])
        check_close(strided, masked_conv2d.forward(x[:, ::-1, ::2].copy(), w, taps))


def test_complex_numbers_take_the_definition():
    taps = ((-1, 1), (0, 0))
    x, w = Key(1).normal((1, 3, 4, 2), np.float64), Key(2).normal((2, 2, 3), np.float64)
    with rungs("numba"):
        y = masked_conv2d.forward(x + 1e-30j * x, w, taps)
    np.testing.assert_allclose(y.imag / 1e-30, masked_conv2d.forward(x, w, taps), rtol=1e-12)


def test_what_does_not_fit_is_refused():
    x, w, taps = np.zeros((2, 5, 4, 3)), np.zeros((2, 3, 6)), ((-1, 0), (0, -1))
    with pytest.raises(ValueError, match=r"x \(2, 5, 4, 3\) and w \(2, 4, 6\) with 2 taps do not fit"):
        masked_conv2d.forward(x, np.zeros((2, 4, 6)), taps)
    with pytest.raises(ValueError, match="with 1 taps do not fit"):
        masked_conv2d.forward(x, w, taps[:1])
    with pytest.raises(ValueError, match=r"dy \(2, 5, 4, 5\) and w"):
        masked_conv2d.input_gradient(np.zeros((2, 5, 4, 5)), w, taps)
    with pytest.raises(ValueError, match="must agree in all axes but the last"):
        masked_conv2d.weight_gradient(x, np.zeros((2, 4, 4, 6)), taps)
    with pytest.raises(ValueError, match="pass out="):
        masked_conv2d.weight_gradient(x, np.zeros((2, 5, 4, 6)), taps, accumulate=True)
    with pytest.raises(TypeError, match="mixed precisions"):
        masked_conv2d.forward(x.astype(np.float32), w, taps)
