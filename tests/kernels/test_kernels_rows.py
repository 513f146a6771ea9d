"""Softmax, couplings, losses, samples, averages: one pass against the definition in float64, and by the complex step."""

from __future__ import annotations

from functools import partial

import kernel_cases
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_cases import both, drawn

from minigen.kernels import affine, average, gaussian, layer_norm, reparameterize, rungs, sgd, softmax, units
from minigen.random import Key

RUNGS = pytest.mark.parametrize("mode", ["definition", "numba"])
TYPES = st.sampled_from((np.float32, np.float64))
SIZES = st.sampled_from((1, 2, 15, 16, 17, 31, 33, 100, 200))
BOUND = {np.float32: 1e-6, np.float64: 1e-14}


@given(rows=SIZES, classes=SIZES, dtype=TYPES, seed=st.integers(0, 99))
@settings(deadline=None, max_examples=30)
def test_softmax(rows, classes, dtype, seed):
    key = Key(seed)
    x, dy = drawn(key.at("x"), (rows, classes), dtype, 6.0), drawn(key.at("dy"), (rows, classes), dtype)
    y, exact = both(softmax.forward, x)
    assert y.dtype == dtype
    kernel_cases.check_close(y, exact, BOUND[dtype])
    dx, exact = both(softmax.gradient, dy, y)
    kernel_cases.check_close(dx, exact, BOUND[dtype], scale=np.abs(y * dy).astype(np.float64))


@RUNGS
def test_softmax_far_out(mode):
    """Large numbers do not overflow, masked ones count nothing, a NaN stays in its row wherever it lies."""
    x = np.zeros((4, 40), np.float32)
    x[0] = 3e38
    x[1, 1:] = -np.inf
    x[2, 7] = x[3, 39] = np.nan
    with rungs(mode):
        y = softmax.forward(x)
    np.testing.assert_allclose(y[0], 1 / 40, rtol=1e-6)
    assert np.array_equal(y[1], np.eye(40)[0])
    assert np.isnan(y[2:]).all()


def test_softmax_by_the_complex_step():
    x, direction, dy = (drawn(Key(i), (3, 4, 5), np.float64) for i in range(3))
    y_dot = softmax.forward(x + 1e-30j * direction).imag / 1e-30
    y = softmax.forward(x)
    np.testing.assert_allclose(softmax.gradient(direction, y), y_dot, atol=1e-15)
    np.testing.assert_allclose((softmax.gradient(dy, y) * direction).sum(), (dy * y_dot).sum(), rtol=1e-12)


# ---- layer normalisation


@given(places=SIZES, channels=SIZES, dtype=TYPES, seed=st.integers(0, 99))
@settings(deadline=None, max_examples=30)
def test_layer_norm(places, channels, dtype, seed):
    """float32 by the mean's rounding: an addition for every 16 channels, and a few."""
    key, u = Key(seed), np.finfo(dtype).eps / 2
    x = drawn(key.at("x"), (places, channels), dtype) + dtype(5)
    dy, gain, b = (drawn(key.at(name), shape, dtype) for name, shape in (("dy", x.shape), ("gain", channels), ("b", channels)))
    made, exact = both(partial(layer_norm.forward, eps=1e-2), x, gain, b)
    (xhat, y, r), (true_xhat, true_y, true_r) = made, exact
    off = (channels / 16 + 8) * u * np.abs(x).max() * true_r.max() + 4 * u * np.abs(true_xhat).max()
    assert xhat.dtype == y.dtype == r.dtype == dtype
    assert np.abs(xhat - true_xhat).max() <= off
    assert np.abs(y - true_y).max() <= off * np.abs(gain).max() + 4 * u * np.abs(true_y).max()
    kernel_cases.check_close(r, true_r, 100 * u)
    dx, exact = both(layer_norm.gradient, dy, xhat, gain, r)
    size = np.abs(dy).max() * np.abs(gain).max() * (1 + np.abs(xhat).max() ** 2) * r.max()
    assert np.abs(dx - exact).max() <= (channels / 16 + 8) * u * size


def test_layer_norm_by_the_complex_step():
    x, x_dot, dy = (drawn(Key(i), (3, 4, 5), np.float64) for i in range(3))
    gain, b = drawn(Key(3), 5, np.float64), drawn(Key(4), 5, np.float64)
    y_dot = layer_norm.forward(x + 1e-30j * x_dot, gain, b, eps=1e-2)[1].imag / 1e-30
    for mode in ("definition", "numba"):
        with rungs(mode):
            xhat, _, r = layer_norm.forward(x, gain, b, eps=1e-2)
            dx = layer_norm.gradient(dy, xhat, gain, r)
        np.testing.assert_allclose((dx * x_dot).sum(), (dy * y_dot).sum(), rtol=1e-12)


@RUNGS
def test_layer_norm_of_equal_numbers_and_of_a_nan(mode):
    x, gain, b = np.full((3, 40), 7.0, np.float32), np.full(40, 2.0, np.float32), np.full(40, 3.0, np.float32)
    x[1, 5] = np.nan
    with rungs(mode):
        xhat, y, r = layer_norm.forward(x, gain, b, eps=1e-4)
    assert (xhat[::2] == 0).all()
    assert (y[::2] == 3).all()
    np.testing.assert_allclose(r[::2], 100, rtol=1e-6)
    assert np.isnan(y[1]).all()


def test_what_stands_beside_layer_norm_must_fit():
    x, g = np.ones((4, 3), np.float32), np.ones(3, np.float32)
    with pytest.raises(ValueError, match=r"layer_norm.forward: b \(4,\) must be \(3,\), a number for each channel of \(4, 3\)"):
        layer_norm.forward(x, g, x[:, 0], eps=1e-5)
    with pytest.raises(ValueError, match=r"layer_norm.gradient: r \(4,\) must be \(4, 1\)"):
        layer_norm.gradient(x, x, g, x[:, 0])
    with pytest.raises(TypeError, match="mixed precisions"):
        layer_norm.forward(x, g, g.astype(np.float64), eps=1e-5)


@pytest.mark.parametrize("name", ["loss", "divergence"])
@given(n=st.sampled_from((1, 15, 17, 4095, 4097, 20_001)), dtype=TYPES, seed=st.integers(0, 99))
@settings(deadline=None, max_examples=15)
def test_gaussian(name, n, dtype, seed):
    key = Key(seed)
    arrays = [drawn(key.at(label), (n, 2), dtype) for label in ("mean", "logvar", "x")[: 3 if name == "loss" else 2]]
    (value, *gradients), (exact, *expected) = both(getattr(gaussian, name), *arrays)
    assert isinstance(value, float)
    assert abs(value - exact) <= BOUND[dtype] * abs(exact)
    for got, true in zip(gradients, expected, strict=True):
        assert got.dtype == dtype
        assert np.abs(got - true).max() <= BOUND[dtype] * max(1 / n, np.abs(true).max())


def test_a_latent_that_is_given_up_keeps_its_digits():
    """e^l - 1 - l of a small l is l^2 / 2, of which e^l - 1 taken as a difference would leave nothing."""
    l = np.full((1, 5000), 1e-3, np.float32)
    (value, _, dlogvar), (exact, _, true) = both(gaussian.divergence, 0 * l, l)
    assert abs(value - exact) <= 2e-3 * exact  # of l^2 / 2 = 5e-7 what a float32 difference of numbers near 1e-3 leaves
    np.testing.assert_allclose(dlogvar, true, rtol=3e-7)


@pytest.mark.parametrize("name", ["loss", "divergence"])
def test_gaussian_by_the_complex_step(name):
    arrays = [drawn(Key(i), (4, 3), np.float64) for i in range(3 if name == "loss" else 2)]
    loss = getattr(gaussian, name)
    for i, gradient in enumerate(loss(*arrays)[1:]):
        direction = drawn(Key(9 + i), (4, 3), np.float64)
        stepped = [x + 1e-30j * direction if i == j else x for j, x in enumerate(arrays)]
        np.testing.assert_allclose(loss(*stepped)[0].imag / 1e-30, (gradient * direction).sum(), rtol=1e-12)


@RUNGS
def test_a_nan_stays_in_its_place(mode):
    mean = np.zeros((3, 5000), np.float32)
    mean[1, 4321] = np.nan
    with rungs(mode):
        for value, dmean, _ in (
            gaussian.loss(mean, np.ones_like(mean), np.ones_like(mean)),
            gaussian.divergence(mean, np.ones_like(mean)),
        ):
            assert np.isnan(value)
            assert np.argwhere(np.isnan(dmean)).tolist() == [[1, 4321]]


@given(n=st.sampled_from((1, 2, 31)), k=st.sampled_from((1, 2, 50)), latents=SIZES, dtype=TYPES, seed=st.integers(0, 99))
@settings(deadline=None, max_examples=30)
def test_samples_of_a_gaussian(n, k, latents, dtype, seed):
    key = Key(seed)
    mu, logvar = (drawn(key.at(name), (n, latents), dtype) for name in ("mu", "logvar"))
    eps, dz = (drawn(key.at(name), (n, latents, k), dtype).swapaxes(1, 2) for name in ("eps", "dz"))  # views
    (z, exact), scale = both(reparameterize.sample, mu, logvar, eps), np.exp(0.5 * logvar.astype(np.float64))[:, None]
    assert z.dtype == dtype
    kernel_cases.check_close(z, exact, BOUND[dtype], scale=np.abs(mu[:, None]) + np.abs(scale * eps))
    sums = dz, dz * eps * scale / 2
    for got, true, parts in zip(*both(reparameterize.gradient, dz, logvar, eps), sums, strict=True):
        assert got.dtype == dtype
        kernel_cases.check_close(got, true, 3 * BOUND[dtype], scale=np.abs(parts).sum(1))
    ratio, exact = both(reparameterize.log_ratio, logvar, eps, z)
    kernel_cases.check_close(ratio, exact, BOUND[dtype], scale=(eps**2 + np.abs(logvar[:, None]) + z**2).astype(float).sum(-1))


def test_samples_of_a_gaussian_by_the_complex_step():
    (mu, logvar, a, b), (eps, dz) = Key(1).normal((4, 3, 5), np.float64), Key(2).normal((2, 3, 4, 5), np.float64)
    z_dot = reparameterize.sample(mu + 1e-30j * a, logvar + 1e-30j * b, eps).imag / 1e-30
    dmu, dlogvar = reparameterize.gradient(dz, logvar, eps)
    np.testing.assert_allclose((dz * z_dot).sum(), (dmu * a + dlogvar * b).sum(), rtol=1e-12)


def test_a_sample_weighs_the_ratio_of_its_densities():
    """log_ratio against the two densities, one logarithm after the other."""
    (mu, logvar), eps = Key(1).normal((2, 3, 5), np.float64), Key(2).normal((3, 4, 5), np.float64)
    z = reparameterize.sample(mu, logvar, eps)
    density = lambda z, m, var: np.exp(-((z - m) ** 2) / (2 * var)) / np.sqrt(2 * np.pi * var)
    log_p, log_q = (np.log(density(z, m, var)).sum(-1) for m, var in ((0, 1), (mu[:, None], np.exp(logvar)[:, None])))
    np.testing.assert_allclose(reparameterize.log_ratio(logvar, eps, z), log_p - log_q, rtol=1e-12)


@RUNGS
@pytest.mark.parametrize("where", ["mu", "logvar", "eps"])
def test_a_nan_stays_in_its_sample(mode, where):
    """Also in the place where a kernel keeps the deviations."""
    arrays = {
        "mu": np.zeros((3, 40), np.float32),
        "logvar": np.zeros((3, 40), np.float32),
        "eps": np.ones((3, 4, 40), np.float32),
    }
    place = (1, 2, 33) if where == "eps" else (1, 33)
    arrays[where][place] = np.nan
    with rungs(mode):
        z = reparameterize.sample(**arrays)
    assert np.argwhere(np.isnan(z)).tolist() == [[1, k, 33] for k in ((2,) if where == "eps" else range(4))]


@pytest.mark.parametrize("shape", [(0, 2, 3), (2, 0, 3), (2, 3, 0)])
def test_no_samples(shape):
    N, K, L = shape
    logvar, eps = np.ones((N, L), np.float32), np.ones(shape, np.float32)
    assert reparameterize.sample(logvar, logvar, eps).shape == shape
    dmu, dlogvar = reparameterize.gradient(eps, logvar, eps)
    assert np.array_equal(dmu, K * np.ones((N, L)))
    assert dlogvar.shape == (N, L)
    assert np.array_equal(reparameterize.log_ratio(logvar, eps, eps), L / 2 * np.ones((N, K)))


@given(
    n=st.sampled_from((1, 2, 31)),
    p=st.sampled_from((1, 2, 7)),
    m=SIZES,
    bound=st.sampled_from((None, 0.5, 2.0)),
    dtype=TYPES,
    seed=st.integers(0, 99),
)
@settings(deadline=None, max_examples=40)
def test_affine_coupling(n, p, m, bound, dtype, seed):
    """Number by number within what the kernel promises; its float64 has the C library's functions, within 2 u = 2^-52."""
    key, c, u = Key(seed), bound or 0.0, np.finfo(dtype).eps / 2 * (1 if dtype == np.float32 else 2)
    h, dlogdet = drawn(key.at("h"), (n, p, 2 * m), dtype, 2.0), drawn(key.at("dlogdet"), n, dtype)
    b, dz = (drawn(key.at(name), (n, m, p), dtype).swapaxes(1, 2) for name in ("b", "dz"))  # views
    found, exact = both(lambda b, h: affine.forward(b, h, bound), b, h)
    terms = np.abs(b) * exact[3] + np.abs(h[..., m:]), np.abs(exact[2]).sum((1, 2)), np.abs(exact[2]), exact[3]
    limits = (10 * c + 6, 11 if bound else 1, 10, 10 * c + 4)
    for got, true, limit, scale in zip(found, exact, limits, terms, strict=True):
        assert got.dtype == dtype
        assert (np.abs(got - true) <= limit * u * scale).all()
    again, exact = both(lambda z, h: affine.inverse(z, h, bound), dz, h)  # of any z
    shrunk = (np.abs(dz) + np.abs(h[..., m:])) / terms[3]
    for got, true, limit, scale in zip(again, exact, (10 * c + 6, 11 if bound else 1), (shrunk, terms[1]), strict=True):
        assert got.dtype == dtype
        assert (np.abs(got - true) <= limit * u * scale).all()
    s, e = found[2:]
    found, exact = both(lambda *given: affine.gradient(*given, bound), dz, dlogdet, b, s, e)
    terms = np.abs(dz * b * e).astype(float) + np.abs(dlogdet)[:, None, None]
    for got, true, limit, scale in zip(
        found, exact, (1, 6), (np.abs(exact[0]), np.concatenate((terms, np.abs(dz)), -1)), strict=True
    ):
        assert got.dtype == dtype
        assert (np.abs(got - true) <= limit * u * scale).all()


@given(rows=SIZES, width=SIZES, others=SIZES, dtype=TYPES, seed=st.integers(0, 99))
@settings(deadline=None, max_examples=30)
def test_binary_units(rows, width, others, dtype, seed):
    """Number by number within what the kernel promises, of the sum with the bias as it is rounded."""
    key, u = Key(seed), np.finfo(dtype).eps / 2
    a, bias = drawn(key.at("a"), (width, rows), dtype, 6.0).T, drawn(key.at("bias"), width, dtype)  # a view
    v, b = drawn(key.at("v"), (others, rows), dtype).T, drawn(key.at("b"), others, dtype)
    (F, p), definition = both(units.free_energy, v, b, a, bias)
    told = a.astype(np.longdouble) + bias
    far, exact = np.abs(told), np.exp(np.minimum(told, 0)) / (1 + np.exp(-np.abs(told)))  # to the last place, however small
    parts = np.log1p(np.exp(-far)) + np.maximum(told, 0)
    for got in (p, both(units.probabilities, a, bias)[0]):
        assert got.dtype == dtype
        assert (np.abs(got - exact) <= (8 + far) * u * exact).all()
    assert F.dtype == dtype
    apart = v.astype(np.longdouble) * b
    true = -apart.sum(1) - parts.sum(1)
    added = 0 if dtype == np.float32 else width + others  # additions in the precision of the terms
    scale = ((6 + added) * parts + far).sum(1) + (2 + added) * np.abs(apart).sum(1)
    assert (np.abs(F - true) <= u * scale).all()
    np.testing.assert_allclose(definition[1], exact, rtol=1e-14, atol=1e-15)
    assert (np.abs(definition[0] - true) <= 1e-14 * (parts.sum(1) + np.abs(apart).sum(1))).all()


def test_units_are_summed_out_and_the_energy_falls_by_their_probabilities():
    shapes = (3, 4), (4,), (3, 5), (5,), (3, 5)
    v, b, a, c, direction = (Key(i).normal(shape, np.float64) for i, shape in enumerate(shapes))
    F = units.free_energy(v, b, a + 1e-30j * direction, c)[0]
    np.testing.assert_allclose(F.imag / 1e-30, -(units.probabilities(a, c) * direction).sum(1), rtol=1e-13)
    states = np.array(np.meshgrid(*[(0, 1)] * 5)).reshape(5, -1)  # (U, 32), each once
    np.testing.assert_allclose(np.exp(-F.real), np.exp(v @ b) * np.exp((a + c) @ states).sum(1), rtol=1e-13)


@RUNGS
def test_units_far_out(mode):
    """Nothing overflows, and a NaN stays with its unit and its row; of the others, with its row."""
    a = np.zeros((4, 40), np.float32)
    a[0], a[1] = 1e4, -1e4
    a[2, 7] = np.nan
    with rungs(mode):
        F, p = units.free_energy(np.ones((4, 3), np.float32), np.ones(3, np.float32), a, np.zeros(40, np.float32))
        lost, _ = units.free_energy(np.float32([[0], [np.nan], [1], [2]]), np.ones(1, np.float32), a * 0, a[3])
        again = units.probabilities(a, np.zeros(40, np.float32))
    assert (p[0] == 1).all()
    assert (p[1] == 0).all()
    assert np.argwhere(np.isnan(p)).tolist() == np.argwhere(np.isnan(again)).tolist() == [[2, 7]]
    np.testing.assert_allclose(F, -np.array((4e5 + 3, 3, np.nan, 40 * np.log(2) + 3)), rtol=1e-6)
    assert np.isnan(lost).tolist() == [False, True, True, False]


@pytest.mark.parametrize("bound", [None, 1.5])
def test_affine_coupling_by_the_complex_step(bound):
    (b, b_dot, dz), (h, h_dot), dlogdet = Key(1).normal((3, 2, 4, 3), float), Key(2).normal((2, 2, 4, 6), float), np.ones(2)
    z, logdet, *_ = affine.forward(b + 1e-30j * b_dot, h + 1e-30j * h_dot, bound)
    db, dh = affine.gradient(dz, dlogdet, b, *affine.forward(b, h, bound)[2:], bound)
    moved = ((dz * z).sum() + (dlogdet * logdet).sum()).imag / 1e-30
    np.testing.assert_allclose(moved, (db * b_dot).sum() + (dh * h_dot).sum(), rtol=1e-12)


@RUNGS
@pytest.mark.parametrize("bound", [None, 1.5])
def test_a_coupling_goes_back(mode, bound):
    b, h = drawn(Key(1), (3, 40), np.float32), drawn(Key(2), (3, 80), np.float32)
    with rungs(mode):
        z, logdet, *_ = affine.forward(b, h, bound)
        again, other = affine.inverse(z, h, bound)
    np.testing.assert_allclose(again, b, atol=3e-6 * np.exp(np.abs(h).max()))
    np.testing.assert_allclose(other, -logdet, rtol=1e-6)


@RUNGS
@pytest.mark.parametrize("bound", [None, 1.5])
def test_a_nan_of_a_coupling_stays_in_its_row(mode, bound):
    b, h = np.ones((3, 40), np.float32), np.ones((3, 80), np.float32)
    h[1, 7] = np.nan  # of r
    with rungs(mode):
        z, logdet, s, e = affine.forward(b, h, bound)
        db, dh = affine.gradient(np.ones_like(b), np.ones(3, np.float32), b, s, e, bound)
        back, other = affine.inverse(b, h, bound)
    for array in (z, s, e, db, back):
        assert np.argwhere(np.isnan(array)).tolist() == [[1, 7]]
    for volume in (logdet, other):
        assert np.isnan(volume).tolist() == [False, True, False]
    assert np.argwhere(np.isnan(dh)).tolist() == [[1, 7]]


@RUNGS
def test_a_coupling_that_shrinks_to_nothing_has_a_gradient(mode):
    """s = -inf, without a bound: e = 0, and s passes on what it is given."""
    b, h = np.ones((2, 20), np.float32), np.zeros((2, 40), np.float32)
    h[1, 3] = -np.inf
    with rungs(mode):
        z, logdet, s, e = affine.forward(b, h, None)
        db, dh = affine.gradient(b, np.ones(2, np.float32), b, s, e, None)
    assert (z[1, 3], e[1, 3], logdet[1], db[1, 3], dh[1, 3]) == (0, 0, -np.inf, 0, 1)


@pytest.mark.parametrize("shape", [(0, 2, 3), (2, 0, 3), (2, 3, 0)])
def test_nothing_to_move(shape):
    b, h = np.ones(shape, np.float32), np.ones((*shape[:-1], 2 * shape[-1]), np.float32)
    z, logdet, s, e = affine.forward(b, h, 1.0)
    assert z.shape == s.shape == e.shape == shape
    assert np.array_equal(logdet, np.zeros(shape[0]))
    db, dh = affine.gradient(b, logdet, b, s, e, 1.0)
    assert (db.shape, dh.shape) == (b.shape, h.shape)


@given(n=st.sampled_from((1, 31, 40_001)), dtype=TYPES, share=st.sampled_from((0.001, 0.9)))
@settings(deadline=None, max_examples=10)
def test_average(n, dtype, share):
    held, theta = drawn(Key(1), n, dtype), drawn(Key(2), n, dtype)
    exact = held.astype(np.float64)
    with rungs("definition"):
        average.step(exact, theta.astype(np.float64), share)
    with rungs("numba"):
        average.step(held, theta, share)
    kernel_cases.check_close(held, exact, BOUND[dtype])


@given(n=st.sampled_from((1, 31, 40_001)), dtype=TYPES, momentum=st.sampled_from((0.0, 0.9)))
@settings(deadline=None, max_examples=12)
def test_descent(n, dtype, momentum):
    theta, grad, v = (drawn(Key(i), n, dtype) for i in range(3))
    exact = [x.astype(np.float64) for x in (theta, grad, v)]
    with rungs("definition"):
        sgd.step(*exact[:2], exact[2] if momentum else None, rate=0.3, momentum=momentum)
    with rungs("numba"):
        sgd.step(theta, grad, v if momentum else None, rate=0.3, momentum=momentum)
    kernel_cases.check_close(theta, exact[0], BOUND[dtype])
    kernel_cases.check_close(v, exact[2], BOUND[dtype])


def test_what_does_not_fit_is_refused():
    x = np.zeros((4, 3), np.float32)
    with pytest.raises(ValueError, match=r"affine.forward: h \(4, 3\) must have two numbers for each of b \(4, 3\)"):
        affine.forward(x, x, None)
    with pytest.raises(ValueError, match=r"units.probabilities: a \(4, 3\) must be \(N, U\) and its bias \(4,\) \(U,\)"):
        units.probabilities(x, x[:, 0])
    with pytest.raises(ValueError, match=r"units.free_energy: a \(4, 3\) must be \(N, U\) and its bias \(4,\) \(U,\)"):
        units.free_energy(x, x[0], x, x[:, 0])
    for v, b in ((x[:3], x[0]), (x, x[:, 0]), (x[0], x[0])):
        with pytest.raises(ValueError, match=r"units.free_energy: v .* must be \(N, V\) with the rows of a \(4, 3\)"):
            units.free_energy(v, b, x, x[0])
    with pytest.raises(TypeError, match=r"units\.free_energy: mixed precisions"):
        units.free_energy(x.astype(np.float64), x[0], x, x[0])
    with pytest.raises(ValueError, match=r"affine.inverse: h \(4, 3\) must have two numbers for each of z \(4, 3\)"):
        affine.inverse(x, x, None)
    for bound in (0.0, -1.0):
        with pytest.raises(ValueError, match=r"affine.forward: bound=.* must be positive"):
            affine.forward(x, np.zeros((4, 6), np.float32), bound)
    with pytest.raises(ValueError, match=r"affine.gradient: dlogdet \(3,\) must have a number for each row of b \(4, 3\)"):
        affine.gradient(x, x[0], x, x, x, None)
    with pytest.raises(ValueError, match=r"affine.gradient: shapes differ, dz \(2, 3\), b \(4, 3\)"):
        affine.gradient(x[:2], x[:2, 0], x, x, x, None)
    with pytest.raises(ValueError, match=r"reparameterize.sample: mu \(4, 3\), logvar \(4, 3\) must be .*eps \(4, 3\)"):
        reparameterize.sample(x, x, x)
    with pytest.raises(ValueError, match=r"gradient: logvar \(4, 3\) must be \(N, L\) and dz \(4, 2, 3\), eps \(4, 1, 3\)"):
        reparameterize.gradient(np.zeros((4, 2, 3), np.float32), x, x[:, None])
    with pytest.raises(TypeError, match="mixed precisions"):
        reparameterize.log_ratio(x, x[:, None], x[:, None].astype(np.float64))
    with pytest.raises(ValueError, match=r"softmax.gradient: shapes differ, dy \(4, 3\), y \(3,\)"):
        softmax.gradient(x, x[0])
    with pytest.raises(TypeError, match="mixed precisions"):
        gaussian.loss(x, x, x.astype(np.float64))
    with pytest.raises(ValueError, match=r"gaussian.divergence: shapes differ"):
        gaussian.divergence(x, x[:2])
    with pytest.raises(ValueError, match=r"sgd: shapes differ, theta \(3,\), grad \(3,\), v \(2,\)"):
        sgd.step(x[0], x[0], x[0, :2], rate=1.0, momentum=0.5)
    with pytest.raises(TypeError, match="sgd: dtypes differ, theta complex128, grad float64"):
        sgd.step(x[0].astype(complex), x[0].astype(float), None, rate=1.0, momentum=0.0)
    with pytest.raises(TypeError, match="average: dtypes differ, average complex128, theta float64"):
        average.step(x[0].astype(complex), x[0].astype(float), 0.5)
    with pytest.raises(ValueError, match="average: average must have 1 axes"):
        average.step(x, x, 0.5)
