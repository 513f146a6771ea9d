"""What the kernels of whole layers are asked, against the layers and losses themselves in float64."""

from __future__ import annotations

import numpy as np
from cuda_cases import Case, close
from pass_cases import BOUND, FLAT, U, drawn, wide, within

from minigen.kernels.affine import cuda as affine
from minigen.kernels.affine import definition as plain_affine
from minigen.kernels.attention import cuda as attention
from minigen.kernels.average import cuda as average
from minigen.kernels.categorical import cuda as categorical
from minigen.kernels.categorical import definition as plain_categorical
from minigen.kernels.flow import cuda as flow
from minigen.kernels.flow import definition as plain_flow
from minigen.kernels.gated import cuda as gated
from minigen.kernels.gated import definition as plain_gated
from minigen.kernels.gaussian import cuda as gaussian
from minigen.kernels.langevin import cuda as langevin
from minigen.kernels.langevin import definition as plain_langevin
from minigen.kernels.layer_norm import cuda as layer_norm
from minigen.kernels.layer_norm import definition as plain_layer_norm
from minigen.kernels.logit import cuda as logit
from minigen.kernels.logit import definition as plain_logit
from minigen.kernels.pairs import cuda as pairs
from minigen.kernels.pairs import definition as plain_pairs
from minigen.kernels.plu import cuda as plu
from minigen.kernels.plu import definition as plain_plu
from minigen.kernels.reparameterize import cuda as reparameterize
from minigen.kernels.reparameterize import definition as plain_reparameterize
from minigen.kernels.resample import cuda as resample
from minigen.kernels.sgd import cuda as sgd
from minigen.kernels.sgd import definition as plain_sgd
from minigen.kernels.softmax import cuda as softmax
from minigen.kernels.spline import cuda as spline
from minigen.kernels.spline import definition as plain_spline
from minigen.kernels.units import cuda as units
from minigen.kernels.units import definition as plain_units
from minigen.kernels.window import cuda as window
from minigen.kernels.window import definition as plain_window
from minigen.layers.attention import ScaledDotProduct
from minigen.layers.pooling import AveragePool2d, MaxPool2d
from minigen.layers.softmax import Softmax
from minigen.layers.upsample import BilinearUpsample, NearestUpsample
from minigen.losses import likelihood
from minigen.random import Key

ROWS = {"one number": (1, 1), "one row": (1, 300), "one column": (70, 1), "a warp": (8, 32), "ragged": (3, 5, 45)}
SAMPLES = {  # N, K, L
    "one number": (1, 1, 1),
    "one sample": (7, 1, 20),
    "one latent": (3, 50, 1),
    "a block": (2, 8, 32),
    "ragged": (3, 37, 45),
    "many samples": (1, 700, 3),
}
IMAGES = {  # (N, H, W, C), factor
    "one number": ((1, 1, 1, 1), 2),
    "one channel": ((2, 5, 4, 1), 2),
    "one row": ((1, 1, 9, 3), 3),
    "ragged": ((2, 7, 6, 5), 2),
    "factor 1": ((1, 3, 2, 2), 1),
    "factor 4": ((1, 3, 4, 2), 4),
}
WINDOWS = {  # (N, H, W, C), h, w
    "one number": ((1, 1, 1, 1), 1, 1),
    "smaller": ((5, 6, 5, 2), 3, 4),
    "larger": ((3, 4, 5, 1), 7, 9),
    "the same size": ((30, 7, 8, 3), 7, 8),
}
POOLS = {  # (N, H, W, C), window, stride, padding
    "side by side": ((2, 8, 6, 5), 2, None, 0),
    "overlapping": ((1, 7, 9, 3), 3, 2, 1),
    "one channel": ((2, 6, 5, 1), (2, 3), 1, 0),
    "one window": ((1, 4, 4, 2), 4, None, 0),
    "gaps between": ((1, 8, 8, 2), 2, 3, 0),
}
PAIRS = {  # N, B, E
    "one number": (1, 1, 1),
    "one row": (1, 3, 4),
    "two rows": (2, 1, 4),
    "a block": (64, 4, 4),
    "ragged": (37, 3, 5),
    "more numbers than a block is wide": (11, 9, 7),
    "more rows than a block is high": (300, 2, 1),
}
HEADS = {  # B, T, S, d
    "one of everything": (1, 1, 1, 1),
    "below a tile": (2, 5, 7, 3),
    "exact tiles": (1, 32, 16, 16),
    "ragged": (3, 21, 37, 20),
    "one query": (2, 1, 40, 8),
    "widest": (1, 18, 17, 128),
}


def places(shape):
    x, dy = drawn(shape, "x", "dy")
    gain, b, eps = 1 + 0.1 * Key(1).normal(shape[-1]), Key(2).normal(shape[-1]), 1e-2
    x += 10  # a mean that is large beside the deviation
    xhat, y, r = layer_norm.forward(x, gain, b, eps=eps)
    exact_xhat, exact_y, exact_r = plain_layer_norm.forward(*wide(x, gain, b), eps=eps)
    off = (shape[-1] / 32 + 8) * U * np.abs(x).max() * exact_r.max() + 4 * U * np.abs(exact_xhat).max()
    within(xhat, exact_xhat, off)
    within(y, exact_y, off * np.abs(gain).max() + 4 * U * np.abs(exact_y).max())
    close(r, exact_r, 1e-5)
    given = dy, xhat, gain, r
    size = np.abs(dy).max() * np.abs(gain).max() * (1 + np.abs(xhat).max() ** 2) * r.max()
    within(layer_norm.gradient(*given), plain_layer_norm.gradient(*wide(*given)), 20 * U * size)


def rows(shape):
    x, dy = drawn(shape, "x", "dy")
    x *= 5
    layer = Softmax()
    y, cache = layer.forward(*wide(x))
    got = softmax.forward(x)
    close(got, y, BOUND)
    dx = softmax.gradient(dy, got)
    within(dx, layer.backward(*wide(dy), cache), 2e-6)  # absolute: of one class the gradient is zero


def told_apart(shape):
    """Labels at both ends and between; logits so far apart that some p is 1."""
    (x,) = drawn(shape, "x")
    x *= 5
    labels = Key(4).integers(shape[-1], x.size // shape[-1]).reshape(shape[:-1])
    labels.flat[0], labels.flat[-1] = shape[-1] - 1, 0
    value, dx = categorical.loss(x, labels, scale=0.7)
    exact, exact_dx = plain_categorical.loss(*wide(x), labels, scale=0.7)
    assert value.dtype == np.float64
    assert abs(value - exact) <= BOUND * max(1, exact)
    within(dx, exact_dx, 3e-7 * 0.7 / len(x))  # absolute: p - 1 cancels
    assert np.array_equal(categorical.loss(x, labels.astype(np.uint8), scale=0.7)[1], dx)
    for wrong in (-1, shape[-1], 2**40):  # no class, and not looked up
        labels.flat[-1] = wrong
        assert np.isnan(categorical.loss(x, labels)[0])


def moved(n):
    value, theta = drawn((n,), "value", "theta")
    expected = wide(value)[0] + 0.125 * (wide(theta)[0] - wide(value)[0])
    read = value.copy()
    average.step(value, theta, 0.125)
    average.step_read(read, theta, np.array([0.125], np.float32))
    assert np.array_equal(read, value)
    close(value, expected, BOUND)


def descended(n, momentum):
    theta, grad, v = drawn((n,), "theta", "grad", "v")
    exact = wide(theta, grad, v)
    read = theta.copy(), v.copy()
    plain_sgd.step(*exact[:2], exact[2] if momentum else None, rate=0.125, momentum=momentum)
    sgd.step(theta, grad, v if momentum else None, rate=0.125, momentum=momentum)
    sgd.step_read(read[0], grad, read[1] if momentum else None, np.array([0.125], np.float32), momentum)
    assert np.array_equal(read[0], theta)
    assert np.array_equal(read[1], v)
    close(theta, exact[0], BOUND)
    close(v, exact[2], BOUND)


def walked(n):
    given = drawn((n,), "x", "slope", "eps")
    for clip, bound in ((0.5, 1.0), (np.inf, np.inf)):
        numbers = {"step": 0.25, "noise": 0.125, "clip": clip, "bound": bound}
        close(langevin.move(*given, **numbers), plain_langevin.move(*wide(*given), **numbers), BOUND)


def normal(n):
    mean, logvar, x = (a.reshape(-1, 1) for a in drawn((n,), "mean", "logvar", "x"))
    for got, expected in (
        (gaussian.loss(mean, logvar, x, scale=0.7), likelihood.gaussian(*wide(mean, logvar, x), scale=0.7)),
        (gaussian.divergence(mean, logvar, scale=0.7), likelihood.gaussian_kl(*wide(mean, logvar), scale=0.7)),
    ):
        assert abs(got[0] - expected[0]) <= BOUND * abs(expected[0])
        for gradient, exact in zip(got[1:], expected[1:], strict=True):
            within(gradient, exact, BOUND * max(1, np.abs(exact).max()))


def coupled(N, P, M, bound):
    (b, dz), (h,), (dlogdet,) = drawn((N, P, M), "b", "dz"), drawn((N, P, 2 * M), "h"), drawn((N,), "dlogdet")
    exact = plain_affine.forward(*wide(b, h), bound)
    found = affine.forward(b, h, bound)
    for got, expected in zip(found, exact, strict=True):
        close(got, expected, 4 * BOUND)
    for got, expected in zip(affine.inverse(dz, h, bound), plain_affine.inverse(*wide(dz, h), bound), strict=True):
        close(got, expected, 4 * BOUND)
    s, e = found[2:]
    exact = plain_affine.gradient(*wide(dz, dlogdet, b, s, e), bound)
    for got, expected in zip(affine.gradient(dz, dlogdet, b, s, e, bound), exact, strict=True):
        close(got, expected, 4 * BOUND)


def stretched(N, K, L, alpha):
    """Of pixels and of what lies between them; the inverse is another logit's where there is nothing to stretch."""
    x, u = Key(K + L).uniform((2, N, K, L))
    (dz,), (dlogdet,) = drawn((N, K, L), "dz"), drawn((N,), "dlogdet")
    pixels = np.rint(255 * x) / np.float32(255)
    v = plain_logit.dequantise(pixels, u)
    for found, exact in (
        (logit.forward(x, alpha), plain_logit.forward(*wide(x), alpha)),
        (logit.of_pixels(pixels, u, alpha), plain_logit.forward(*wide(v), alpha)),
        (logit.inverse(dz, alpha), plain_logit.inverse(*wide(dz), alpha)),
    ):
        for got, expected in zip(found, exact, strict=True):
            close(got, expected, 2 * BOUND)
    close(logit.gradient(dz, dlogdet, x, alpha), plain_logit.gradient(*wide(dz, dlogdet, x), alpha), 2 * BOUND)


def flowed(N, K, L):
    """One part, and two of different sizes."""
    (z,), (logdet,) = drawn((N, K, L), "z"), drawn((N,), "logdet")
    for parts in ((z,), (z, 2 * z[:, 0])):
        prior, volume, *gradients = flow.loss(logdet, *parts, scale=0.7)
        exact_prior, exact_volume, *exact = plain_flow.loss(*wide(logdet, *parts), scale=0.7)
        assert prior.dtype == volume.dtype == np.float64
        assert abs(prior - exact_prior) <= 1e-12 * exact_prior
        assert abs(volume - exact_volume) <= 1e-12 * np.abs(logdet).max()
        for got, expected in zip(gradients, exact, strict=True):
            within(got, expected, 3e-7 * np.abs(expected).max())


def mixed(channels, rows):
    A, dW = drawn((channels, channels), "A", "dW")
    A, dlogdet, order = A / np.float32(2 * channels**0.5), Key(rows).normal(rows), Key(channels).permutation(channels)
    P, sign = np.eye(channels, dtype=np.float32)[order], np.float32(1) - 2 * (order % 2).astype(np.float32)
    W, logdet = plu.forward(A, P, sign, 12, rows)
    for got, expected in zip((W, logdet), plain_plu.forward(*wide(A, P, sign), 12, rows), strict=True):
        close(got, expected, BOUND)
    close(plu.inverse(W, A, P, sign), np.linalg.inv(*wide(W)), 2e-7)  # 2 u, and what u of the factors makes of it, squared
    close(plu.gradient(dW, dlogdet, A, P, sign, 12), plain_plu.gradient(*wide(dW, dlogdet, A, P, sign), 12), BOUND)


def gated_by_halves(N, K, L):
    (x,), (dy,) = drawn((N, K, 2 * L), "x"), drawn((N, K, L), "dy")
    close(gated.forward(2 * x), plain_gated.forward(*wide(2 * x)), 2 * BOUND)
    close(gated.gradient(dy, 2 * x), plain_gated.gradient(*wide(dy, 2 * x)), 2 * BOUND)


def bent(N, P, M, bins):
    """Of bins that are not narrow: with B / w of a hundred, so many times the rounding of b is that of a place in its bin."""
    b, dz = drawn((N, P, M), "b", "dz")
    (h,), (dlogdet,), sizes = drawn((N, P, (3 * bins - 1) * M), "h"), drawn((N,), "dlogdet"), {"bins": bins, "reach": 2.0}
    sizes["least"] = 0.2 / bins
    for function in ("forward", "inverse"):
        exact = getattr(plain_spline, function)(*wide(b, h), **sizes)
        z, logdet = getattr(spline, function)(b, h, **sizes)
        close(z, exact[0], 2 * BOUND)
        within(logdet, exact[1], 1e-5 * (P * M) ** 0.5)
    exact = plain_spline.gradient(*wide(dz, dlogdet, b, h), **sizes)
    for got, expected in zip(spline.gradient(dz, dlogdet, b, h, **sizes), exact, strict=True):
        close(got, expected, 5e-5)


def switched(N, K, L):
    (a,), (bias,) = drawn((N * K, L), "a"), drawn((L,), "bias")
    close(units.probabilities(a, bias), plain_units.probabilities(*wide(a, bias)), 2 * BOUND)
    for V in (1, 2 * L + 1):  # fewer others than units, and more
        others = (*drawn((N * K, V), "v"), *drawn((V,), "b"))
        exact = plain_units.free_energy(*wide(*others, a, bias))
        for got, expected in zip(units.free_energy(*others, a, bias), exact, strict=True):
            close(got, expected, 2 * BOUND)


def sampled(N, K, L):
    (mu, logvar), (eps, dz) = drawn((N, L), "mu", "logvar"), drawn((N, K, L), "eps", "dz")
    z = reparameterize.sample(mu, logvar, eps)
    close(z, plain_reparameterize.sample(*wide(mu, logvar, eps)), BOUND)
    exact = plain_reparameterize.gradient(*wide(dz, logvar, eps))
    for got, expected in zip(reparameterize.gradient(dz, logvar, eps), exact, strict=True):
        close(got, expected, 3e-6)  # signs cancel
    close(reparameterize.log_ratio(logvar, eps, z), plain_reparameterize.log_ratio(*wide(logvar, eps, z)), 3e-6)


def compared(N, B, E):
    """Points some of which touch; of one row all signs are 0."""
    (m, m_dot), (do, do_dot) = drawn((N, B, E), "m", "m_dot"), drawn((N, B), "do", "do_dot")
    m /= E
    m[-1] = m[0]
    for function, given in (
        ("forward", (m,)),
        ("gradient", (do, m)),
        ("tangent", (m_dot, m)),
        ("gradient_dot", (do, do_dot, m_dot, m)),
    ):
        found, exact = getattr(pairs, function)(*given), getattr(plain_pairs, function)(*wide(*given))
        for got, expected in zip(*(x if isinstance(x, tuple) else (x,) for x in (found, exact)), strict=True):
            close(got, expected, 3e-6)


def upsampled(kind, shape, f):
    layer = {"nearest": NearestUpsample, "bilinear": BilinearUpsample}[kind](f)
    (x,) = drawn(shape, "x")
    y, cache = layer.forward(*wide(x))
    dy = Key(2).normal(y.shape)
    close(resample.upsample(kind, x, f), y, BOUND)
    close(resample.upsample_transposed(kind, dy, f), layer.backward(*wide(dy), cache), BOUND)


def pooled(shape, size, stride, padding):
    (x,) = drawn(shape, "x")
    x = np.round(x)  # equal numbers in a window
    mean, largest = AveragePool2d(size, stride, padding), MaxPool2d(size, stride, padding)
    g = mean.geometry(shape)
    y, cache = mean.forward(*wide(x))
    dy = Key(2).normal(y.shape)
    close(resample.average(x, g), y, BOUND)
    close(resample.average_transposed(dy, shape, g), mean.backward(*wide(dy), cache), BOUND)
    y, cache = largest.forward(*wide(x))
    got, winner = resample.largest(x, g)
    assert np.array_equal(got, y)
    assert np.array_equal(winner, cache.winner)
    close(resample.largest_transposed(dy, winner, shape, g), largest.backward(*wide(dy), cache), BOUND)
    x_dot = Key(3).normal(shape)
    assert np.array_equal(resample.picked(x_dot, winner, g), largest.jvp(*wide(x_dot), cache)[0])


def attended(sizes, causal):
    B, T, S, d = sizes
    S = T if causal else S
    q, dy = drawn((B, T, d), "q", "dy")
    k, v = drawn((B, S, d), "k", "v")
    layer = ScaledDotProduct(1, causal=causal)
    exact, cache = layer.forward(tuple(wide(2 * q, k, v)))
    y, log_sum = attention.forward(2 * q, k, v, causal=causal)
    close(y, exact, 2e-6)
    s = 2 * wide(q)[0] @ wide(k)[0].swapaxes(1, 2) / np.sqrt(d)
    s = np.where(np.tri(T, S, dtype=bool), s, -np.inf) if causal else s
    within(log_sum, np.log(np.exp(s).sum(-1)), 4e-6)
    gradients = attention.gradient(dy, 2 * q, k, v, y, log_sum, causal=causal)
    for got, expected in zip(gradients, layer.backward(*wide(dy), cache), strict=True):
        within(got, expected, 1e-5 * max(0.1, np.abs(expected).max()))


def cut_out(shape, h, w):
    """Windows inside, across every edge, and outside: the same bits."""
    (x,) = drawn(shape, "x")
    for sign in (1, -1):
        top, left = (
            Key(1).at(name).integers(2 * side + 3, len(x), start=-side - 1) for name, side in zip("tl", shape[1:3], strict=True)
        )
        assert np.array_equal(window.cut(x, top, left, h, w, sign=sign), plain_window.cut(x, top, left, h, w, sign=sign))


def cases():
    """The table."""
    for title, shape in ROWS.items():
        yield Case(f"softmax, {title}", lambda s=shape: rows(s), title == "a warp")
        yield Case(f"layer norm, {title}", lambda s=shape: places(s), title == "a warp")
    for title, shape in {**ROWS, "several rows a warp": (8200, 3)}.items():
        yield Case(f"categorical, {title}", lambda s=shape: told_apart(s), title == "a warp")
    for title, n in FLAT.items():
        yield Case(f"average, {title}", lambda n=n: moved(n), title == "below a block")
        for momentum in (0.0, 0.9):
            run = lambda n=n, m=momentum: descended(n, m)
            yield Case(f"descent, momentum {momentum}, {title}", run, title == "below a block")
        yield Case(f"a chain's move, {title}", lambda n=n: walked(n), title == "below a block")
        yield Case(f"gaussian, {title}", lambda n=n: normal(n), title == "below a block")
    for channels, n in ((1, 1), (2, 300), (7, 5), (33, 64), (48, 3)):
        yield Case(f"mixture of {channels} channels, {n} rows", lambda c=channels, n=n: mixed(c, n), channels == 7)
    for title, sizes in SAMPLES.items():
        for bound in (1.5, None):
            yield Case(
                f"affine coupling bounded by {bound}, {title}", lambda s=sizes, c=bound: coupled(*s, c), title == "ragged"
            )
        for bins in (2, 7):
            yield Case(
                f"spline of {bins} bins, {title}", lambda s=sizes, k=bins: bent(*s, k), title == "one latent" and bins == 2
            )
        for alpha in (0.05, 1e-6):
            yield Case(f"logit from {alpha}, {title}", lambda s=sizes, a=alpha: stretched(*s, a), title == "ragged")
        yield Case(f"likelihood of a flow, {title}", lambda s=sizes: flowed(*s), title in ("ragged", "one sample"))
        yield Case(f"gated unit, {title}", lambda s=sizes: gated_by_halves(*s), title == "ragged")
        yield Case(f"units, {title}", lambda s=sizes: switched(*s), title == "ragged")
        yield Case(f"samples of a Gaussian, {title}", lambda s=sizes: sampled(*s), title == "ragged")
    for title, sizes in PAIRS.items():
        yield Case(f"pairs, {title}", lambda s=sizes: compared(*s), title == "ragged")
    for title, (shape, f) in IMAGES.items():
        for kind in resample.KINDS:
            yield Case(f"upsample {kind}, {title}", lambda k=kind, s=shape, f=f: upsampled(k, s, f), title == "one channel")
    for title, (shape, h, w) in WINDOWS.items():
        yield Case(f"windows, {title}", lambda s=shape, h=h, w=w: cut_out(s, h, w), title == "smaller")
    for title, pool in POOLS.items():
        yield Case(f"pooling, {title}", lambda p=pool: pooled(*p), title == "one channel")
    for title, sizes in HEADS.items():
        for causal in (False, True):
            run = lambda s=sizes, c=causal: attended(s, c)
            yield Case(f"attention{', causal' * causal}, {title}", run, title in ("below a tile", "ragged"))
