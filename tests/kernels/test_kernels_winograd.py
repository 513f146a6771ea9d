"""Winograd's convolution: equal to the definition, within its bound number by number, and as close as the direct sum."""

from __future__ import annotations

import kernel_cases
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minigen import backend, kernels
from minigen.kernels import conv2d, rungs
from minigen.kernels.conv2d import definition
from minigen.kernels.conv2d.geometry import geometry
from minigen.random import Key

B = np.array([[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, -1, 0, 1]])  # B'
POINTS = {  # by count: A for m pixels, and 2 G for r taps but for its first and last row
    2: np.array([[1, 0], [1, 1], [1, -1], [0, 1]]),
    3: np.array([[1, 0, 0], [1, 1, 1], [1, -1, 1], [0, 0, 1]]),
}
G = np.array([1, 0.5, 0.5, 1])[:, None] * POINTS[3]  # of three taps
A = POINTS[2]
UNIT = 2.0**-24


@st.composite
def convolutions(draw):
    """Sizes of a tile and beside it, one image and more, channels of one vector and of several."""
    stride = draw(st.sampled_from((1, 2)))
    k = {1: 3, 2: 4}[stride]
    n, h, w = draw(st.sampled_from((1, 2, 5))), draw(st.integers(4, 13)), draw(st.integers(4, 13))
    c, m = draw(st.sampled_from((32, 64, 96))), draw(st.sampled_from((32, 64, 160)))
    keywords = {"stride": stride, "padding": draw(st.tuples(st.integers(0, k - 1), st.integers(0, k - 1)))}
    return (n, h, w, c), (k, k, c, m), keywords


def arrays(key, x_shape, w_shape, keywords, dtype=np.float32):
    output = conv2d.output_shape(x_shape[1:3], w_shape[:2], **keywords)
    x, w = key.at("x").normal(x_shape, dtype), key.at("w").normal(w_shape, dtype)
    return x, w, key.at("dy").normal((x_shape[0], *output, w_shape[3]), dtype)


def all_three(module, x, w, dy, keywords):
    return (
        module.forward(x, w, **keywords),
        module.input_gradient(dy, w, x.shape, **keywords),
        module.weight_gradient(x, dy, w.shape[:2], **keywords),
    )


def winograd():
    return conv2d.LADDER.load("winograd")


@given(case=convolutions(), wide=st.booleans(), seed=st.integers(0, 99))
@settings(deadline=None, max_examples=60)
def test_equals_definition(case, wide, seed):
    dtype = np.dtype(np.float64 if wide else np.float32)
    x, w, dy = arrays(Key(seed), *case, dtype)
    expected = all_three(definition, x.astype(np.float64), w.astype(np.float64), dy.astype(np.float64), case[2])
    with backend.workspace(backend.Workspace(poison=True)):
        got = all_three(winograd(), x, w, dy, case[2])
    for result, reference in zip(got, expected, strict=True):
        assert result.dtype == dtype
        kernel_cases.check_close(result, reference)


def maps(x, side):
    """|B'| |d| |B| of the tiles d of x, which are `side` apart: (N, tiles down, tiles across, 4, 4, C)."""
    rows, columns = range(0, x.shape[1] - 3, side), range(0, x.shape[2] - 3, side)
    d = np.stack([np.stack([x[:, i : i + 4, j : j + 4] for j in columns], 1) for i in rows], 1)
    return np.einsum("ai,bj,nyxijc->nyxabc", abs(B), abs(B), abs(d))


def test_forward_and_dx_are_within_the_bound():
    """On 8 x 8 outputs of unlike sizes: (D + 11) u |A'| [(|G||w||G'|) * (|B'||d||B|)] |A|, number by number."""
    key = Key(3)
    scale = 10.0 ** key.at("scale").uniform((1, 1, 1, 96), np.float32)
    x, w = key.at("x").normal((2, 10, 10, 96)) * scale, key.at("w").normal((3, 3, 96, 32))
    exact = definition.forward(x.astype(np.float64), w.astype(np.float64))
    weights = np.einsum("ai,bj,ijcm->abcm", abs(G), abs(G), abs(w.astype(np.float64)))
    products = np.einsum("nyxabc,abcm->nyxabm", maps(x.astype(np.float64), 2), weights)
    bound = (96 + 11) * UNIT * np.einsum("ap,bq,nyxabm->nypxqm", abs(A), abs(A), products).reshape(exact.shape)
    y = winograd().forward(x, w)
    assert (abs(y - exact) <= bound).all()

    # The input gradient of a padded convolution is that of the turned kernel, and exact for it.
    turned = np.ascontiguousarray(w[::-1, ::-1].swapaxes(2, 3))  # from 32 channels to 96
    dx = winograd().input_gradient(x, turned, (2, 8, 8, 32), padding=2)
    assert (abs(dx - exact) <= bound).all()


def test_weight_gradient_is_within_the_bound():
    key = Key(4)
    x, dy = key.at("x").normal((2, 10, 10, 32)), key.at("dy").normal((2, 8, 8, 32))
    exact = definition.weight_gradient(x.astype(np.float64), dy.astype(np.float64), (3, 3))
    tiles = abs(dy.astype(np.float64)).reshape(2, 4, 2, 4, 2, 32)  # (N, down, 2, across, 2, M)
    dy_maps = np.einsum("ap,bq,nypxqm->nyxabm", abs(A), abs(A), tiles)
    products = np.einsum("nyxabc,nyxabm->abcm", maps(x.astype(np.float64), 2), dy_maps)
    terms = 2 * 4 * 4 + kernels.pool.thread_count()
    bound = (terms + 11) * UNIT * np.einsum("ai,bj,abcm->ijcm", abs(G), abs(G), products)
    assert (abs(winograd().weight_gradient(x, dy, (3, 3)) - exact) <= bound).all()


@pytest.mark.parametrize(("stride", "k"), [(1, 3), (2, 4)])
def test_is_as_close_as_the_direct_sum(stride, k):
    """The claim by which it may be used: less work, and no precision lost. dw, whose sums are no shorter, may lose a half."""
    keywords = {"stride": stride, "padding": 1}
    x, w, dy = arrays(Key(5), (4, 14, 14, 64), (k, k, 64, 64), keywords)
    exact = all_three(definition, x.astype(np.float64), w.astype(np.float64), dy.astype(np.float64), keywords)
    errors = [
        [np.linalg.norm(a - b) / np.linalg.norm(b) for a, b in zip(all_three(module, x, w, dy, keywords), exact, strict=True)]
        for module in (winograd(), conv2d.LADDER.load("direct"))
    ]
    (y, dx, dw), (direct_y, direct_dx, direct_dw) = errors
    assert y <= direct_y
    assert dx <= 1.1 * direct_dx
    assert dw <= 1.5 * direct_dw + 2 * UNIT


def test_out_and_accumulate():
    keywords = {"padding": 1}
    x, w, dy = arrays(Key(6), (2, 6, 7, 32), (3, 3, 32, 32), keywords)
    y, dx, dw = all_three(winograd(), x, w, dy, keywords)
    into_y, into_dx, into_dw = np.full_like(y, 9), np.full_like(dx, 9), np.full_like(dw, 9)
    assert winograd().forward(x, w, out=into_y, **keywords) is into_y
    assert winograd().input_gradient(dy, w, x.shape, out=into_dx, **keywords) is into_dx
    assert winograd().weight_gradient(x, dy, (3, 3), out=into_dw, **keywords) is into_dw
    for a, b in ((y, into_y), (dx, into_dx), (dw, into_dw)):
        assert np.array_equal(a, b)
    winograd().weight_gradient(x, dy, (3, 3), out=into_dw, accumulate=True, **keywords)
    kernel_cases.check_close(into_dw, 2 * dw.astype(np.float64))


def test_non_contiguous_inputs():
    keywords = {"padding": 1}
    x, w, dy = arrays(Key(7), (2, 6, 7, 32), (3, 3, 32, 32), keywords)
    far = (np.asfortranarray(a) for a in (x, w, dy))
    for a, b in zip(all_three(winograd(), *far, keywords), all_three(winograd(), x, w, dy, keywords), strict=True):
        kernel_cases.check_close(a, b.astype(np.float64))


@pytest.mark.parametrize(("stride", "k"), [(1, 3), (2, 4)])
def test_results_do_not_depend_on_threads_but_for_dw(stride, k):
    keywords = {"stride": stride, "padding": 1}
    x, w, dy = arrays(Key(8), (3, 15, 13, 32), (k, k, 32, 32), keywords)
    found = []
    for n in {1, min(2, kernels.pool.thread_limit())}:
        with kernels.threads(n):
            first, again = all_three(winograd(), x, w, dy, keywords), all_three(winograd(), x, w, dy, keywords)
            assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
            found.append(first)
    for other in found[1:]:
        assert np.array_equal(found[0][0], other[0])
        assert np.array_equal(found[0][1], other[1])
        kernel_cases.check_close(other[2], found[0][2].astype(np.float64))


def test_is_taken_where_it_fits_and_pays():
    pays = winograd().pays
    wide = geometry((14, 14), (3, 3), padding=1)
    assert pays(32, wide, 64, 64, 1, learning=False)
    assert pays(32, wide, 64, 64, 1, learning=True)
    assert not pays(1, geometry((7, 7), (3, 3), padding=1), 64, 64, 1, learning=False)  # 16 tiles
    assert not pays(32, wide, 64, 1, 1, learning=False)  # no vectors of channels
    assert not pays(32, wide, 64, 64, 2, learning=False)
    assert not pays(32, geometry((14, 14), (3, 3), padding=1, dilation=2), 64, 64, 1, learning=False)
    assert not pays(32, geometry((14, 14), (3, 3), padding=1, stride=2), 64, 64, 1, learning=False)
    halving = geometry((14, 14), (4, 4), padding=1, stride=2)
    assert pays(64, halving, 64, 128, 1, learning=False)
    assert not pays(64, halving, 64, 128, 1, learning=True)
    x, w, _ = arrays(Key(9), (2, 14, 14, 32), (3, 3, 32, 32), {"padding": 1})
    with rungs("numba"):
        assert np.array_equal(conv2d.forward(x, w, padding=1), winograd().forward(x, w, padding=1))
    with rungs("definition"):
        assert np.array_equal(conv2d.forward(x, w, padding=1), definition.forward(x, w, padding=1))
