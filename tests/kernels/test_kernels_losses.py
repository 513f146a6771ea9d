"""Squared errors, labels, sides of games, clipping: every rung against the definition in float64, and by the complex step."""

from __future__ import annotations

import kernel_cases
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_cases import both, drawn

from minigen.check.device_array import DeviceArray, to_host, to_test_device
from minigen.kernels import categorical, clip, games, gaussian, rungs, squares
from minigen.random import Key

RUNGS = pytest.mark.parametrize("mode", ["definition", "numba"])
TYPES = st.sampled_from((np.float32, np.float64))
COUNTS = st.sampled_from((1, 2, 15, 16, 17, 33, 100, 4095, 4097, 20_001))
BOUND = {np.float32: 1e-6, np.float64: 1e-14}
STEP = 1e-30


def is_the_derivative(loss, x):
    """The value's slope along a direction is the gradient's."""
    direction = drawn(Key(99), x.shape)
    moved, (_, gradient) = loss(x + 1j * STEP * direction)[0], loss(x)
    np.testing.assert_allclose(moved.imag / STEP, (gradient * direction).sum(), rtol=1e-12)


# ---- squared errors


@given(n=COUNTS, dtype=TYPES, scale=st.sampled_from((1.0, -0.3, 784.0)), seed=st.integers(0, 99))
@settings(deadline=None, max_examples=20)
def test_squares(n, dtype, scale, seed):
    y, target = (drawn(Key(seed).at(name), (2, n), dtype).T for name in ("y", "target"))  # views
    (value, dy), (exact, exact_dy) = both(lambda y, target: squares.loss(y, target, scale=scale), y, target)
    assert isinstance(value, float)
    assert dy.dtype == dtype
    assert abs(value - exact) <= BOUND[dtype] * exact
    assert np.abs(dy - exact_dy).max() <= BOUND[dtype] * np.abs(exact_dy).max()
    np.testing.assert_allclose(exact, ((y - target.astype(np.float64)) ** 2).mean(), rtol=1e-12)


def test_squares_by_the_complex_step():
    target = drawn(Key(1), (4, 3))
    is_the_derivative(lambda y: squares.loss(y, target), drawn(Key(2), (4, 3)))


@RUNGS
def test_a_nan_stays_in_its_place(mode):
    y = np.ones((3, 5000), np.float32)
    y[1, 4321] = np.nan
    with rungs(mode):
        value, dy = squares.loss(y, np.zeros_like(y))
    assert np.isnan(value)
    assert np.argwhere(np.isnan(dy)).tolist() == [[1, 4321]]


def test_the_sum_of_squares_is_taken_in_float64():
    """A million terms of 1 beside one of 2^24: a float32 sum would keep none of them."""
    y = np.ones((1 << 20,), np.float32)
    y[0] = 4096
    for mode in ("definition", "numba"):
        with rungs(mode):
            value, _ = squares.loss(y, np.zeros_like(y))
        assert value * y.size == pytest.approx(4096.0**2 + y.size - 1, rel=1e-9)


# ---- labels


@given(
    places=st.sampled_from(((1,), (3,), (17, 2), (2, 3, 5), (700,))),
    classes=st.sampled_from((1, 2, 3, 15, 16, 17, 40, 256)),
    kind=st.sampled_from((np.int64, np.int32, np.uint8)),
    dtype=TYPES,
    scale=st.sampled_from((1.0, -0.3)),
    seed=st.integers(0, 99),
)
@settings(deadline=None, max_examples=40)
def test_categorical(places, classes, kind, dtype, scale, seed):
    x, labels = drawn(Key(seed), (*places, classes), dtype, 6.0), Key(seed).integers(classes, int(np.prod(places)))
    labels = labels.reshape(places).astype(kind)
    (value, dx), (exact, exact_dx) = both(lambda x: categorical.loss(x, labels, scale=scale), x)
    assert isinstance(value, float)
    assert dx.dtype == dtype
    assert abs(value - exact) <= BOUND[dtype] * max(1, exact)
    assert np.abs(dx - exact_dx).max() <= BOUND[dtype] / places[0]
    p = np.exp(x.astype(np.float64)) / np.exp(x.astype(np.float64)).sum(-1, keepdims=True)
    one_hot = np.arange(classes) == labels[..., None]
    np.testing.assert_allclose(exact, -np.log((p * one_hot).sum(-1)).sum() / places[0], rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(exact_dx, scale * (p - one_hot) / places[0], atol=1e-14)


def test_categorical_by_the_complex_step():
    labels = Key(1).integers(5, 12).reshape(4, 3)
    is_the_derivative(lambda x: categorical.loss(x, labels), drawn(Key(2), (4, 3, 5)))
    x, direction = drawn(Key(2), (4, 3, 5)), drawn(Key(3), (4, 3, 5))
    turned = categorical.loss(x + 1j * STEP * direction, labels)[1].imag / STEP
    p = np.exp(x) / np.exp(x).sum(-1, keepdims=True)
    np.testing.assert_allclose(turned, p * (direction - (p * direction).sum(-1, keepdims=True)) / 4, atol=1e-15)


@RUNGS
def test_categorical_far_out(mode):
    """Large logits do not overflow, a masked one counts nothing, a NaN stays in its row wherever it lies."""
    x = np.zeros((5, 40), np.float32)
    x[0] = 3e38
    x[1, 1:] = -np.inf
    x[2, 7] = 1e4
    x[3, 7] = x[4, 39] = np.nan
    labels = np.array([5, 0, 6, 1, 1])
    with rungs(mode):
        value, dx = categorical.loss(x[:3], labels[:3])
        of_nan, row = categorical.loss(x, labels)
    assert value == pytest.approx((np.log(40) + 1e4) / 3)
    np.testing.assert_allclose(dx[0] * 3, 1 / 40 - np.eye(40)[5], rtol=1e-6)
    assert not dx[1].any()
    np.testing.assert_allclose(dx[2] * 3, np.eye(40)[7] - np.eye(40)[6], rtol=1e-6)
    assert np.isnan(of_nan)
    assert np.isnan(row).all(1).tolist() == [False, False, False, True, True]


@RUNGS
@pytest.mark.parametrize("wrong", [-1, 5, 2**40])
def test_a_label_that_is_no_class_is_refused(mode, wrong):
    labels = np.array([4, wrong, 0])
    with (
        rungs(mode),
        pytest.raises(ValueError, match=rf"categorical: labels lie in {min(wrong, 0)} .. {max(wrong, 4)}, logits"),
    ):
        categorical.loss(np.zeros((3, 5), np.float32), labels)


@pytest.mark.parametrize("wrong", [-1, 5, 2**40])
def test_on_a_device_a_label_that_is_no_class_makes_nan(wrong):
    """By the definition: on a device that does not run CUDA C. What CUDA C does is in tests/cuda."""
    x, labels = drawn(Key(1), (3, 5)), np.array([4, wrong, 0])
    value, dx = categorical.loss(to_test_device(x), to_test_device(labels))
    assert type(value) is type(dx) is DeviceArray
    assert np.isnan(to_host(value))
    assert np.isnan(to_host(dx)).all(1).tolist() == [False, True, False]
    right, expected = categorical.loss(x[[0, 2]], labels[[0, 2]])
    np.testing.assert_allclose(to_host(dx)[[0, 2]] * 3, expected * 2)
    value, dx = categorical.loss(to_test_device(x[[0, 2]]), to_test_device(labels[[0, 2]]))
    assert to_host(value) == pytest.approx(right)
    np.testing.assert_allclose(to_host(dx), expected)


def test_labels_that_do_not_fit():
    x = np.zeros((3, 5), np.float32)
    with pytest.raises(ValueError, match=r"labels \(2,\) must be the shape of logits \(3, 5\) without its last axis"):
        categorical.loss(x, np.zeros(2, int))
    with pytest.raises(TypeError, match="labels must be integers, got float64: convert"):
        categorical.loss(x, np.zeros(3))


# ---- games


@pytest.mark.parametrize("kind", games.KINDS)
@given(n=COUNTS, a=st.sampled_from((-1.0, 0.0, 0.9, 1.0)), dtype=TYPES, seed=st.integers(0, 99))
@settings(deadline=None, max_examples=10)
def test_games(kind, n, a, dtype, seed):
    l = drawn(Key(seed), (2, n), dtype, 4.0).T  # a view
    (value, dl), (exact, exact_dl) = both(lambda l: games.loss(kind, l, a, scale=-0.7), l)
    assert isinstance(value, float)
    assert dl.dtype == dtype
    far = np.abs(l).max()
    assert abs(value - exact) <= BOUND[dtype] * far
    assert np.abs(dl - exact_dl).max() <= BOUND[dtype] * max(1, far) / l.size


@pytest.mark.parametrize("kind", games.KINDS)
def test_games_by_the_complex_step(kind):
    l, direction = drawn(Key(1), (5, 3), spread=3.0), drawn(Key(2), (5, 3))
    is_the_derivative(lambda l: games.loss(kind, l, -1.0), l)
    turned = games.loss(kind, l + 1j * STEP * direction, -1.0, scale=0.5)[1].imag / STEP
    np.testing.assert_allclose(turned, 0.5 * games.curve(kind, l) * direction / l.size, rtol=1e-12, atol=1e-16)


@RUNGS
def test_games_far_out(mode):
    """Nothing overflows, and a NaN is paid."""
    l = np.array([-1e4, 0, 1e4], np.float32)
    exact = {
        "cross_entropy": ((np.log(2) + 1e4) / 3, (-1, -0.5, 0)),
        "saturating": (-(np.log(2) + 1e4) / 3, (0, -0.5, -1)),
        "hinge": ((1 + 10001) / 3, (0, 1, 1)),
    }
    for kind, (expected, slopes) in exact.items():
        with rungs(mode):
            value, dl = games.loss(kind, l, 1.0)
            of_nan, _ = games.loss(kind, np.array([0, np.nan], np.float32), 1.0)
        assert value == pytest.approx(expected)
        np.testing.assert_allclose(3 * dl, slopes, atol=1e-6)
        assert np.isnan(of_nan)


def test_an_unknown_side_is_named():
    with pytest.raises(ValueError, match="unknown side of a game 'fair': choose one of cross_entropy, saturating"):
        games.loss("fair", np.zeros(3), 1.0)


# ---- scale


@RUNGS
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex128])
def test_scale_multiplies_the_gradients_alone(mode, dtype):
    x, y, z = (drawn(Key(i), (6, 200), dtype) for i in range(3))
    labels = Key(1).integers(200, 6)
    for loss in (
        lambda **o: squares.loss(x, y, **o),
        lambda **o: categorical.loss(x, labels, **o),
        *(lambda kind=kind, **o: games.loss(kind, x, 1.0, **o) for kind in games.KINDS),
        lambda **o: gaussian.loss(x, y, z, **o),
        lambda **o: gaussian.divergence(x, y, **o),
    ):
        with rungs(mode):
            (value, *gradients), (same, *scaled) = loss(), loss(scale=-0.7)
        assert value == same
        for one, other in zip(gradients, scaled, strict=True):
            assert other.dtype == dtype
            np.testing.assert_allclose(other, -0.7 * one, rtol=5e-7 if dtype == np.float32 else 1e-13)


# ---- clipping


@given(sizes=st.lists(COUNTS, min_size=1, max_size=3), dtype=TYPES, part=st.sampled_from((0.01, 0.5, 2.0)))
@settings(deadline=None, max_examples=20)
def test_clipping_to_a_norm(sizes, dtype, part):
    vectors = [drawn(Key(i), n, dtype) for i, n in enumerate(sizes)]
    whole = np.concatenate(vectors).astype(np.float64)
    norm = np.linalg.norm(whole)
    for mode in ("definition", "numba"):
        moved = [x.copy() for x in vectors]
        with rungs(mode):
            assert clip.to_norm(*moved, limit=part * norm) == pytest.approx(norm, rel=BOUND[dtype])
        if part > 1:
            assert all(map(np.array_equal, moved, vectors))
        kernel_cases.check_close(np.concatenate(moved), min(1, part) * whole, BOUND[dtype])


def test_vectors_of_two_precisions():
    narrow, wide = np.full(3, 2, np.float32), np.full(1, 2.0)
    assert clip.to_norm(narrow, wide, limit=1.0) == 4
    assert narrow.tolist() == [0.5] * 3
    assert narrow.dtype == np.float32
    assert wide.tolist() == [0.5]


def test_a_norm_of_nothing():
    assert clip.to_norm(limit=1.0) == 0
    x = np.zeros(7, np.float32)
    for mode in ("definition", "numba"):
        with rungs(mode):
            assert clip.to_norm(x, limit=0.0) == 0
    assert not x.any()


def test_clipping_by_the_complex_step():
    """d (x limit / |x|) is limit / |x| times what of the direction is not along x."""
    x, direction = drawn(Key(1), 9), drawn(Key(2), 9)
    moved = x + 1j * STEP * direction
    norm = clip.to_norm(moved, limit=0.5)
    unit = x / np.linalg.norm(x)
    np.testing.assert_allclose(norm.imag / STEP, unit @ direction, rtol=1e-12)
    np.testing.assert_allclose(moved.imag / STEP, 0.5 / np.linalg.norm(x) * (direction - unit * (unit @ direction)), rtol=1e-12)


@RUNGS
def test_what_no_norm_can_scale(mode):
    """A NaN leaves a gradient alone, which is how a run hears of it; squares that float32 cannot hold are no infinity."""
    g = np.array([1, np.nan, 2], np.float32)
    with rungs(mode):
        assert np.isnan(clip.to_norm(g, limit=0.5))
    np.testing.assert_array_equal(g, [1, np.nan, 2])


def test_squares_that_float32_cannot_hold():
    g = np.full(4, 3e30, np.float32)
    with pytest.warns(RuntimeWarning, match="overflow"):
        assert clip.to_norm(g, limit=1.0) == pytest.approx(6e30)
    np.testing.assert_allclose(g, 0.5, rtol=1e-6)


@RUNGS
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_clipping_to_a_range(mode, dtype):
    x = np.array([np.nan, -np.inf, -0.6, -0.5, 0.25, 3, np.inf], dtype)
    with rungs(mode):
        clip.to_range(x, 0.5)
    np.testing.assert_array_equal(x, np.array([np.nan, -0.5, -0.5, -0.5, 0.25, 0.5, 0.5], dtype))
