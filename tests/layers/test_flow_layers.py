"""Layers of flows of images: what the property suite cannot know of them."""

import tracemalloc

import numpy as np
import pytest
from scipy.special import ndtr

from minigen.kernels import plu
from minigen.layers import (
    ActNorm,
    AffineCoupling,
    Chain,
    InvertibleConv,
    Linear,
    Logit,
    MultiScale,
    Permute,
    ReLU,
    Sequential,
    Squeeze,
    StaleCacheError,
)
from minigen.optim import SGD
from minigen.random import Key

KEY = Key(0)
IMAGES = KEY.at("images").normal((3, 4, 6, 5), np.float64) * [1, 2, 3, 0.1, 10] + [0, 5, -3, 1, 7]


# ---- ActNorm


def test_the_first_batch_comes_out_with_mean_0_and_variance_1():
    layer = ActNorm(5).initialise(KEY, np.float64)
    z, logdet = layer.data_init(IMAGES, KEY)
    np.testing.assert_allclose(z.mean((0, 1, 2)), 0, atol=1e-12)
    np.testing.assert_allclose(z.var((0, 1, 2)), 1, rtol=2e-4)  # EPS, against a variance of 0.01
    np.testing.assert_allclose(logdet, -24 * np.log(IMAGES.std((0, 1, 2))).sum(), rtol=1e-4)


def test_other_rows_are_treated_as_the_first_batch_was():
    """Its statistics are parameters now: a row by itself comes out as it did among the others."""
    layer = ActNorm(5).initialise(KEY, np.float64)
    z, _ = layer.data_init(IMAGES, KEY)
    np.testing.assert_array_equal(layer.forward(IMAGES[1:2])[0][0], z[1:2])


def test_a_constant_channel_starts_finite():
    layer = ActNorm(2).initialise(KEY)
    z, _ = layer.data_init(np.full((4, 3, 3, 2), 7, np.float32), KEY)
    assert np.isfinite(z).all()
    assert np.abs(z).max() < 0.01


def test_caches_from_before_the_start_are_stale():
    layer = ActNorm(5).initialise(KEY, np.float64)
    y, cache = layer.forward(IMAGES)
    layer.data_init(IMAGES, KEY)
    with pytest.raises(StaleCacheError):
        layer.backward(y, cache)


# ---- InvertibleConv


def matrix(layer):
    """W."""
    return plu.forward(layer.params["A"], *layer.fixed, 1, 1)[0]


@pytest.mark.parametrize("channels", [1, 2, 12, 48])
def test_it_begins_as_a_rotation(channels):
    layer = InvertibleConv(channels).initialise(KEY.at(channels), np.float64)
    W = matrix(layer)
    np.testing.assert_allclose(W.T @ W, np.eye(channels), atol=1e-12)
    (_, logdet), _ = layer.forward(KEY.normal((3, 2, 2, channels), np.float64))
    np.testing.assert_allclose(logdet, 0, atol=1e-12)


def test_keys_draw_different_rotations_and_the_same_key_the_same():
    W = [matrix(layer) for layer in (InvertibleConv(6).initialise(Key(i)) for i in (0, 0, 1))]
    np.testing.assert_array_equal(W[0], W[1])
    assert np.abs(W[0] - W[2]).max() > 0.1


def test_p_and_sign_are_constants():
    layer = InvertibleConv(6).initialise(KEY, np.float64)
    before = {name: value.copy() for name, value in layer.state.items()}
    y, cache = layer.forward(KEY.normal((3, 2, 6), np.float64), train=True)
    layer.backward(y, cache)
    SGD(layer, rate=0.1).step()
    layer.commit(cache)
    for name, value in before.items():
        np.testing.assert_array_equal(layer.state[name], value)
    W = matrix(layer)
    assert np.abs(W.T @ W - np.eye(6)).max() > 1e-3  # it has learned
    np.testing.assert_allclose(np.linalg.slogdet(W)[1], np.diag(layer.params["A"]).sum(), rtol=1e-12)


def test_a_clone_has_the_same_w_in_every_type():
    layer = InvertibleConv(6).initialise(KEY)
    twin = layer.clone(np.float64)
    assert matrix(layer).dtype == np.float32
    np.testing.assert_allclose(matrix(twin), matrix(layer), atol=1e-6)


@pytest.mark.parametrize("layer", [ActNorm(4), InvertibleConv(4)], ids=lambda layer: type(layer).__name__)
def test_a_wrong_number_of_channels_is_named(layer):
    with pytest.raises(ValueError, match=r"\(4\) got x of shape \(3, 4, 6, 5\): its last axis must be 4"):
        layer.initialise(KEY, np.float64).forward(IMAGES)


# ---- Permute


def test_an_order_is_a_permutation():
    (z, logdet), _ = Permute([2, 0, 1]).forward(np.array([[10, 11, 12]]))
    assert z.tolist() == [[12, 10, 11]]
    assert logdet == 0
    with pytest.raises(ValueError, match="has each of 0"):
        Permute([0, 0, 2])
    with pytest.raises(ValueError, match=r"Permute of 2 channels got x of shape \(3, 4, 6, 5\)"):
        Permute([1, 0]).forward(IMAGES)


# ---- Logit


@pytest.mark.parametrize("alpha", [0.05, 1e-6])
def test_black_and_white_stay_finite_in_float32_and_come_back(alpha):
    x = np.array([[0, 1e-4, 0.5, 0.9999, 1]], np.float32)
    (z, logdet), _ = Logit(alpha).forward(x)
    assert np.isfinite(z).all()
    assert np.isfinite(logdet).all()
    np.testing.assert_allclose(z, -z[:, ::-1], rtol=1e-3)  # black and white are mirror images: q keeps its digits
    np.testing.assert_allclose(Logit(alpha).inverse(z)[0], x, atol=1e-6)


def test_it_carries_a_density_along():
    """A standard normal z gives pixels a density whose integral up to x is Phi(z(x)): the one with logdet in it."""
    x = np.linspace(1e-3, 1 - 1e-3, 200_001)[:, None]
    (z, logdet), _ = Logit(1e-6).forward(x)
    p = np.exp(-0.5 * z[:, 0] ** 2 - 0.5 * np.log(2 * np.pi) + logdet)
    mass = ((p[1:] + p[:-1]) / 2 * np.diff(x[:, 0])).sum()
    assert abs(mass - (ndtr(z[-1, 0]) - ndtr(z[0, 0]))) < 1e-6


def test_alpha_lies_below_a_half():
    with pytest.raises(ValueError, match=r"alpha is 0.5, and must lie in \[0, 0.5\)"):
        Logit(0.5)


# ---- MultiScale, and chains that store nothing


def step(channels, width=6):
    net = Sequential(Linear(channels // 2, width), ReLU(), Linear(width, channels))
    return ActNorm(channels), InvertibleConv(channels), AffineCoupling(net)


def levels(depth, store):
    chains = (Chain(Squeeze(), *(f for _ in range(depth) for f in step(c)), store=store) for c in (4, 8, 16))
    return MultiScale(*chains)


def test_half_of_the_numbers_leave_after_each_level():
    flow = levels(1, True).initialise(KEY)
    (z, logdet), _ = flow.forward(KEY.normal((3, 16, 8, 1)))
    assert [part.shape for part in z] == [(3, 8, 4, 2), (3, 4, 2, 4), (3, 2, 1, 16)]
    assert logdet.shape == (3,)
    with pytest.raises(TypeError, match="level 1, ReLU, is not a Bijection"):
        MultiScale(Squeeze(), ReLU())


@pytest.mark.parametrize(("store", "grows"), [(True, True), (False, False)])
def test_memory_does_not_grow_with_depth(store, grows):
    x = KEY.normal((40, 16, 16, 1), np.float64)

    def peak(depth):
        flow = levels(depth, store).initialise(KEY, np.float64)
        tracemalloc.start()
        y, cache = flow.forward(x)
        flow.backward(y, cache, need_dx=False)
        high = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return high

    assert (peak(12) > 1.5 * peak(3)) == grows


@pytest.mark.parametrize("channels", [1, 4, 7, 48])
def test_an_invertible_convolution_is_inverted_by_products_as_by_lapack(channels):
    """As good an inverse, with factors far from a rotation's too."""
    layer = InvertibleConv(channels).initialise(Key(1))
    layer.params["A"][...] += 0.3 * Key(2).normal((channels, channels))
    W, one = matrix(layer), np.eye(channels)
    found = plu.inverse(W, layer.params["A"], *layer.fixed), np.linalg.inv(W)
    off = [np.linalg.norm(W.astype(np.float64) @ X - one) for X in found]
    assert off[0] <= 4 * off[1] + 1e-6
