"""Windows of images: on every rung the same numbers, the transpose, by the complex step, and what does not fit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minigen.kernels import rungs, window
from minigen.random import Key

SIDES = st.sampled_from((1, 2, 5, 16))


@given(
    n=st.sampled_from((1, 3, 40)),
    size=st.tuples(SIDES, SIDES),
    taken=st.tuples(SIDES, SIDES),
    c=st.sampled_from((1, 3, 8)),
    dtype=st.sampled_from((np.float32, np.float64)),
    sign=st.sampled_from((1, -1)),
    seed=st.integers(0, 99),
)
@settings(deadline=None, max_examples=60)
def test_windows_are_pieces_of_framed_images(n, size, taken, c, dtype, sign, seed):
    """Inside, across every edge, and wholly outside."""
    key = Key(seed)
    x = key.at("x").normal((n, c, *size), np.float64).astype(dtype).transpose(0, 2, 3, 1)  # a view
    at = [key.at(name).integers(2 * side + 3, 2 * n, start=-side - 1)[::2] for name, side in zip("tl", size, strict=True)]
    far = 40
    framed = np.pad(x, ((0, 0), (far, far), (far, far), (0, 0)))
    places = zip(framed, *(sign * one + far for one in at), strict=True)
    expected = np.stack([one[t : t + taken[0], l : l + taken[1]] for one, t, l in places])
    for mode in ("definition", "numba", "auto"):
        with rungs(mode):
            y = window.cut(x, *at, *taken, sign=sign)
        assert y.dtype == dtype
        assert np.array_equal(y, expected)


def test_the_transpose_of_a_window_is_a_window():
    x, u = Key(8).normal((4, 6, 7, 2), np.float64), Key(9).normal((4, 3, 11, 2), np.float64)
    at = np.array([-4, 0, 2, 40]), np.array([-1, 3, -7, 0])
    for mode in ("definition", "numba"):
        with rungs(mode):
            there, back = window.cut(x, *at, 3, 11), window.cut(u, *at, 6, 7, sign=-1)
            far = window.cut(x, np.full(4, np.iinfo(np.int32).max), at[1], 3, 11)
        assert (u * there).sum() == pytest.approx((back * x).sum())
        assert not there[3].any()
        assert not far.any()
        moved = window.cut(x + 1e-30j * back, *at, 3, 11)
        assert np.array_equal(moved.imag, window.cut(1e-30 * back, *at, 3, 11))


def test_what_is_outside_is_zero_whatever_the_image_holds():
    x, at = np.full((2, 20, 20, 2), np.nan, np.float32), np.array([21, -3])
    for mode in ("definition", "numba"):
        with rungs(mode):
            y = window.cut(x, at, at, 20, 20)
        assert not y[0].any()
        assert np.isnan(y[1]).sum() == 17 * 17 * 2
        assert window.cut(x[:0], at[:0], at[:0], 4, 5).shape == (0, 4, 5, 2)


def test_what_does_not_fit_is_refused():
    x, at = np.zeros((2, 4, 4, 1), np.float32), np.zeros(2, np.int64)
    with pytest.raises(ValueError, match=r"window\.cut: x must have 4 axes, got shape \(4, 4, 1\)"):
        window.cut(x[0], at, at, 2, 2)
    for wrong in ({"top": at[:1]}, {"left": at[:, None]}, {"sign": 2}):
        with pytest.raises(ValueError, match=r"window\.cut: top .* must be \(N,\) for x \(2, 4, 4, 1\), and sign .* 1 or -1"):
            window.cut(x, **{"top": at, "left": at, "h": 2, "w": 2, **wrong})
    with pytest.raises(TypeError, match="top and left are int64, got float64 and int64"):
        window.cut(x, at * 1.0, at, 2, 2)
    with pytest.raises(TypeError, match="needs floating-point arrays"):
        window.cut(x.astype(int), at, at, 2, 2)
