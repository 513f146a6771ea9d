"""Couplings: PyTorch's derivatives, where they begin, what they keep, inverses in float32, chains that store nothing."""

from pathlib import Path

import numpy as np
import pytest

from minigen.check import suite
from minigen.layers import (
    AffineCoupling,
    Chain,
    Conv2d,
    Linear,
    Masked,
    Sequential,
    Spline,
    SplineCoupling,
    Tanh,
    channel_halves,
    checkerboard,
)
from minigen.layers.initialisers import zeros
from minigen.random import Key

ARRAYS = np.load(Path(__file__).parents[1] / "golden" / "couplings.npz")
KEY = Key(40)
X = 2 * KEY.at("x").normal((50, 5), np.float64)


def net(inputs, outputs, hidden=4, **options):
    return Sequential(hidden=Linear(inputs, hidden), tanh=Tanh(), out=Linear(hidden, outputs, **options))


GOLDEN = {
    "affine": lambda: AffineCoupling(net(2, 6), bound=1.5),
    "spline": lambda: SplineCoupling(net(2, 33), bins=4, reach=2.0, least=1e-2),
}
KINDS = ("affine", "spline")


def close(ours, theirs):
    return np.abs(ours - theirs).max() <= 1e-11 * max(1.0, np.abs(theirs).max())


@pytest.mark.parametrize("name", GOLDEN)
def test_passes_equal_pytorchs(name):
    golden = {key.partition("/")[2]: ARRAYS[key] for key in ARRAYS.files if key.startswith(name + "/")}
    layer = GOLDEN[name]().initialise(KEY, np.float64)
    for path, array in layer.named():
        array[...] = golden[f"param.{path}"]
    (z, logdet), cache = layer.forward(golden["x"])
    assert close(z, golden["z"])
    assert close(logdet, golden["logdet"])
    dy = golden["u"], golden["u_logdet"]
    assert close(layer.backward(dy, cache), golden["dx"])
    for path, grad in layer.vector.views(layer.vector.grad).items():
        assert close(grad, golden[f"grad.{path}"]), path
    layer.zero_grads()
    _, tangents = layer.jvp(golden["v"], cache)
    _, dx_dot = layer.backward_jvp(dy, (0 * z, 0 * logdet), cache, tangents)
    assert close(dx_dot, golden["dx_dot"])
    for path, grad in layer.vector.views(layer.vector.grad).items():
        assert close(grad, golden[f"grad.{path}_dot"]), path


@pytest.mark.parametrize("layer", [AffineCoupling(net(2, 6, initialiser=zeros)), SplineCoupling(net(2, 69, initialiser=zeros))])
def test_a_network_that_ends_in_zeros_begins_as_the_identity(layer):
    (z, logdet), _ = layer.initialise(KEY, np.float64).forward(X)
    assert np.abs(z - X).max() < 1e-14
    assert np.abs(logdet).max() < 1e-13


def stirred(layer, dtype=np.float64, size=1.0):
    layer = layer.initialise(KEY, dtype)
    layer.vector.theta += size * KEY.at("stir").normal(layer.vector.theta.shape, dtype)
    return layer


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("flip", [False, True])
def test_one_half_is_kept_and_the_other_is_moved(kind, flip):
    x = X[:, :4]
    layer = stirred(two_and_two(kind, flip))
    (z, _), _ = layer.forward(x)
    kept, moved = (slice(2, 4), slice(0, 2)) if flip else (slice(0, 2), slice(2, 4))
    np.testing.assert_array_equal(z[:, kept], x[:, kept])
    assert (z[:, moved] != x[:, moved]).mean() > 0.9


def two_and_two(kind, flip=False):
    """Of rows of four numbers."""
    if kind == "affine":
        return AffineCoupling(net(2, 4), flip=flip)
    return SplineCoupling(net(2, 2 * 14), bins=5, reach=8.0, flip=flip)


def test_a_mask_of_channels_is_the_coupling_by_halves():
    """With the network's weights from and to what is masked set to zero."""
    halves = stirred(AffineCoupling(net(2, 4)))
    masked = AffineCoupling(net(4, 8), mask=channel_halves((4,))).initialise(KEY, np.float64)
    theirs, ours = dict(halves.named()), dict(masked.named())
    for path, array in ours.items():
        array[...] = KEY.at(path).normal(array.shape, np.float64)  # what is masked must not matter
    ours["net.hidden.W"][:2] = theirs["net.hidden.W"]
    ours["net.hidden.b"][...] = theirs["net.hidden.b"]
    for name in ("net.out.W", "net.out.b"):
        ours[name][..., [2, 3, 6, 7]] = theirs[name]
    x = X[:, :4]
    for one, other in zip(masked.forward(x)[0], halves.forward(x)[0], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-13, atol=1e-14)


def test_checkerboards_are_each_others_complements():
    mask = checkerboard((3, 4, 2))
    assert mask[:, :, 0].tolist() == [[True, False, True, False], [False, True, False, True], [True, False, True, False]]
    assert (mask != checkerboard((3, 4, 2), flip=True)).all()
    assert (channel_halves((2, 2, 4), flip=True) == [False, False, True, True]).all()


def test_of_an_image_the_pixels_of_the_mask_are_kept():
    mask = checkerboard((4, 4, 2))
    for flip, kept in ((False, mask), (True, ~mask)):
        coupling = stirred(AffineCoupling(Conv2d(2, 4, 3, padding=1), mask=mask, flip=flip))
        x = KEY.at("image").normal((3, 4, 4, 2), np.float64)
        (z, _), _ = coupling.forward(x)
        np.testing.assert_array_equal(z[:, kept], x[:, kept])
        assert (z[:, ~kept] != x[:, ~kept]).all()


def test_the_log_scale_is_bounded():
    coupling = stirred(AffineCoupling(net(2, 6), bound=0.7), size=50.0)
    _, logdet = coupling.forward(X)[0]
    assert 3 * 0.69 < np.abs(logdet).max() <= 3 * 0.7 + 1e-12


# ---- the spline


def test_a_spline_is_monotone_continuous_and_the_identity_outside():
    spline = Spline(bins=6, reach=2.0)
    b = np.linspace(-2.5, 2.5, 20_001)[:, None]
    h = np.repeat(KEY.at("h").normal((1, 17), np.float64), len(b), 0)
    (z, logdet), _ = spline.forward((b, h))
    steps = np.diff(z[:, 0]) / np.diff(b[:, 0])
    assert steps.min() > 0
    outside = np.abs(b[:, 0]) >= 2
    np.testing.assert_array_equal(z[outside], b[outside])
    assert (logdet[outside] == 0).all()
    slopes = np.exp(logdet)
    assert np.abs(steps - (slopes[1:] + slopes[:-1]) / 2).max() < 0.02 * slopes.max()  # no jump, and the slope is the slope
    assert slopes.max() / slopes.min() > 20  # a spline that bends


def test_knots_go_to_knots():
    """At a knot the function is the sum of the heights so far, and its slope the one the network gave."""
    K, B = 4, 3.0
    spline = Spline(K, reach=B, least=0.0)
    h = KEY.at("knots").normal((1, 11), np.float64)
    W, H = (2 * B * np.exp(part) / np.exp(part).sum() for part in (h[0, :K], h[0, K : 2 * K]))
    X, Y = np.cumsum(W)[:-1] - B, np.cumsum(H)[:-1] - B
    (z, logdet), _ = spline.forward((X[:, None], np.repeat(h, K - 1, 0)))
    np.testing.assert_allclose(z[:, 0], Y, rtol=1e-12)
    np.testing.assert_allclose(np.exp(logdet), np.log1p((np.e - 1) * np.exp(h[0, 2 * K :])), rtol=1e-4)  # but for FLAT


def test_a_spline_of_large_numbers_is_finite():
    spline, h = Spline(bins=6), 150 * KEY.at("large").normal((50, 17), np.float32)
    b = KEY.at("b").normal((50, 1), np.float32)
    (z, logdet), cache = spline.forward((b, h))
    for array in (z, logdet, *spline.backward((z, logdet), cache), *spline.inverse(z, h)):
        assert np.isfinite(array).all()


@pytest.mark.parametrize("options", [{"bins": 1}, {"bins": 8, "least": 0.2}, {"bins": 4, "least": -0.1}])
def test_a_spline_wants_bins_that_fit(options):
    with pytest.raises(ValueError, match="together less than 1"):
        Spline(**options)


# ---- inverses, and chains that store nothing


def chain(kind, store, dtype=np.float32):
    """Of rows of four numbers. Affine: eight couplings, log-scales up to the bound. Spline: four, slopes from 1/10 to 10."""
    depth, size = (8, 1.0) if kind == "affine" else (4, 0.3)
    return stirred(Chain(*[two_and_two(kind, bool(i % 2)) for i in range(depth)], store=store), dtype, size)


@pytest.mark.parametrize("kind", KINDS)
def test_the_chains_are_of_a_trained_size(kind):
    (_, logdet), _ = chain(kind, True).forward(X[:, :4].astype(np.float32))
    assert np.abs(logdet).max() > 3


@pytest.mark.parametrize("kind", KINDS)
def test_the_inverse_in_float32(kind):
    """Within what rounding explains. A number of size |x| is rounded by 2^-24 |x|, which the inverse stretches by 1 / (smallest
    singular value of the row's Jacobian). Every coupling rounds twice, on the way there and on the way back. The Jacobian
    is that of float64, by differences.
    """
    flow, x, h = chain(kind, True), X[:, :4].astype(np.float32), 1e-6
    (z, logdet), _ = flow.forward(x)
    back, back_logdet = flow.inverse(z)
    exact = chain(kind, True, np.float64)
    exact.vector.theta[...] = flow.vector.theta
    moved = lambda by: exact.forward(x.astype(np.float64) + by)[0][0]
    J = np.stack([(moved(h * e) - moved(-h * e)) / (2 * h) for e in np.eye(4)], -1)  # (50, 4, 4)
    stretch = np.maximum(1, 1 / np.linalg.svd(J, compute_uv=False)[:, -1])
    unit = 2.0**-24 * np.maximum(np.abs(x), np.abs(z)).max(1) * stretch
    error, depth = np.abs(back - x).max(1), len(list(flow.children()))
    assert (error < 4 * depth * unit).all()
    assert (np.abs(back_logdet + logdet).ravel() < 4 * depth * unit).all()
    assert np.median(error / unit) < 1


@pytest.mark.parametrize(("kind", "bound"), [("affine", 1e-5), ("spline", 1e-5)])
def test_without_stored_activations_the_gradient_in_float32_is_within_its_bound(kind, bound):
    """The difference to the stored one, relative to its norm."""
    for dtype, limit in ((np.float32, bound), (np.float64, 1e-11)):
        x, grads = X[:, :4].astype(dtype), []
        for store in (True, False):
            flow = chain(kind, store, dtype)
            (z, logdet), cache = flow.forward(x)
            flow.backward((z / len(z), 0 * logdet - 1 / len(z)), cache, need_dx=False)
            grads.append(flow.vector.grad.copy())
        error = np.linalg.norm(grads[1] - grads[0]) / np.linalg.norm(grads[0])
        assert 0 < error < limit, (kind, dtype, error)  # not 0: it was computed on another way


# ---- errors


def test_what_does_not_fit_is_named():
    with pytest.raises(ValueError, match=r"Affine: what moves b of shape \(50, 3\) must have shape \(50, 6\).* has \(50, 5\)"):
        AffineCoupling(net(2, 5)).initialise(KEY, np.float64).forward(X)
    with pytest.raises(ValueError, match="at least 2 numbers"):
        AffineCoupling(net(1, 2)).initialise(KEY, np.float64).forward(X[:, :1])
    with pytest.raises(ValueError, match=r"rows must have the mask's shape \(2, 2, 1\)"):
        Masked(checkerboard((2, 2, 1))).forward(X)


def test_a_larger_image_coupling_has_every_property():
    coupling = SplineCoupling(Conv2d(2, 2 * 8, 3, padding=1), bins=3, reach=1.0, mask=checkerboard((2, 3, 2)))
    suite(coupling, (4, 2, 3, 2))
