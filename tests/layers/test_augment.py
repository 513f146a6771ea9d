"""Augmentation: what each change does, that it is drawn as it says, and that gradients go back the way the image came."""

import numpy as np
import pytest

from minigen.check import suite
from minigen.layers import Brightness, Contrast, Cutout, RandomCrop, RandomFlip, RandomShift, Saturation
from minigen.random import Key

LAYERS = [
    RandomShift(2),
    RandomCrop(4),
    RandomCrop(5, padding=3),
    RandomFlip(),
    Cutout(3),
    Brightness(),
    Contrast(),
    Saturation(),
]
each = pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: type(layer).__name__)


def images(N=200, H=6, W=7, C=2):
    return Key(0).uniform((N, H, W, C), np.float64) + 1  # no pixel is 0


@each
def test_suite(layer):
    suite(layer, (3, 6, 7, 2))


@each
def test_adjoint(layer):
    x, x_dot = images(5), Key(1).normal((5, 6, 7, 2), np.float64)
    y, cache = layer.forward(x, train=True, key=Key(2))
    u = Key(3).normal(y.shape, np.float64)
    assert (u * layer.jvp(x_dot, cache)[0]).sum() == pytest.approx((layer.backward(u, cache) * x_dot).sum())


@each
def test_a_key_decides_and_evaluation_changes_nothing(layer):
    x = images(20)
    y = layer.forward(x, train=True, key=Key(1))[0]
    np.testing.assert_array_equal(y, layer.forward(x, train=True, key=Key(1))[0])
    assert not np.array_equal(y, layer.forward(x, train=True, key=Key(2))[0])
    if not isinstance(layer, RandomCrop):
        np.testing.assert_array_equal(layer.forward(x, key=Key(1))[0], x)
    with pytest.raises(ValueError, match="draws noise"):
        layer.forward(x, train=True)
    with pytest.raises(ValueError, match="it takes images"):
        layer.forward(x[0], train=True, key=Key(1))


def moved(image, down, right):
    """One image moved by hand: down and to the right, 0 where nothing comes in."""
    out = np.zeros_like(image)
    H, W, _ = image.shape
    for i in range(H):
        for j in range(W):
            if 0 <= i - down < H and 0 <= j - right < W:
                out[i, j] = image[i - down, j - right]
    return out


def test_shifts_are_all_and_alike():
    x, pixels = images(2500), 2
    y = RandomShift(pixels).forward(x, train=True, key=Key(4))[0]
    moves = [(down, right) for down in range(-pixels, pixels + 1) for right in range(-pixels, pixels + 1)]
    is_move = np.array([[np.array_equal(moved(x[n], *move), y[n]) for move in moves] for n in range(100)])
    assert (is_move.sum(1) == 1).all()
    one = np.zeros((2500, 9, 9, 1))
    one[:, 4, 4] = 1  # where the middle goes
    counts = RandomShift(pixels).forward(one, train=True, key=Key(4))[0].sum(0)[2:7, 2:7].reshape(-1)
    assert counts.sum() == 2500
    assert np.abs(counts - 100).max() < 4.5 * 10


def test_crops_are_windows_of_the_framed_image():
    x, layer = images(300), RandomCrop(5, padding=2)
    y = layer.forward(x, train=True, key=Key(5))[0]
    framed = np.pad(x, ((0, 0), (2, 2), (2, 2), (0, 0)))
    seen = set()
    for n in range(300):
        places = [(i, j) for i in range(6) for j in range(7) if np.array_equal(framed[n, i : i + 5, j : j + 5], y[n])]
        assert len(places) == 1
        seen.update(places)
    assert seen == {(i, j) for i in range(6) for j in range(7)}
    np.testing.assert_array_equal(layer.forward(x)[0], framed[:, 2:7, 3:8])  # the middle


def test_a_crop_larger_than_the_image():
    y = RandomCrop(8, padding=1).forward(images(2), train=True, key=Key(0))[0]
    assert y.shape == (2, 8, 8, 2)
    with pytest.raises(ValueError, match=r"RandomCrop\(9, 1\) got x of shape \(2, 6, 7, 2\), which is too small"):
        RandomCrop(9, padding=1).forward(images(2))


@pytest.mark.parametrize("p", [0.0, 0.3, 1.0])
def test_flips(p):
    x = images(2000)
    y = RandomFlip(p).forward(x, train=True, key=Key(6))[0]
    flipped = (y != x).any((1, 2, 3))
    np.testing.assert_array_equal(y[flipped], x[flipped][:, :, ::-1])
    assert abs(flipped.mean() - p) <= 4 * np.sqrt(p * (1 - p) / 2000)


@pytest.mark.parametrize("size", [1, 2, 3, 20])
def test_cutout_is_a_square_cut_at_the_border(size):
    x = images(500)
    y = Cutout(size).forward(x, train=True, key=Key(7))[0]
    gone = y == 0
    assert (gone == gone[..., :1]).all()
    np.testing.assert_array_equal(y[~gone], x[~gone])
    for n in range(500):
        rows, columns = (np.flatnonzero(gone[n, ..., 0].any(axis)) for axis in (1, 0))
        assert gone[n, ..., 0].sum() == len(rows) * len(columns) > 0  # a rectangle
        assert len(rows) <= size
        assert len(columns) <= size
    if size <= 3:
        assert gone[..., 0].sum((1, 2)).max() == size**2
        assert gone.any((0, 3)).all()  # every pixel is met


def test_colour():
    x = images(1000, C=3)
    grey = x.mean(3, keepdims=True)
    brighter = Brightness(0.5).forward(x, train=True, key=Key(8))[0] - x
    np.testing.assert_allclose(brighter, np.broadcast_to(brighter[:, :1, :1, :1], x.shape), atol=1e-12)
    assert -0.5 <= brighter.min() < -0.45 < 0.45 < brighter.max() < 0.5

    contrast = Contrast(0.5).forward(x, train=True, key=Key(8))[0]
    np.testing.assert_allclose(contrast.mean((1, 2, 3)), x.mean((1, 2, 3)))
    scale = contrast.std((1, 2, 3)) / x.std((1, 2, 3))
    assert 0.5 <= scale.min() < 0.55 < 1.45 < scale.max() < 1.5

    saturated = Saturation().forward(x, train=True, key=Key(8))[0]
    np.testing.assert_allclose(saturated.mean(3, keepdims=True), grey)
    c = ((saturated - grey) / (x - grey))[:, 0, 0, 0]
    assert 0 <= c.min() < 0.1 < 1.9 < c.max() < 2
    np.testing.assert_allclose(saturated, grey + c[:, None, None, None] * (x - grey))


@pytest.mark.parametrize("make", [lambda: RandomShift(-1), lambda: RandomCrop(0), lambda: RandomFlip(1.5), lambda: Cutout(0)])
def test_wrong_options(make):
    with pytest.raises(ValueError, match=r"\("):
        make()
