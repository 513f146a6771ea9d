"""Cases for couplings, by halves and by masks, of rows and of images."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..layers.composite import Sequential
from ..layers.conv2d import Conv2d
from ..layers.coupling import Affine, AffineCoupling, Coupling
from ..layers.elementwise import Tanh
from ..layers.layer import Layer
from ..layers.linear import Linear
from ..layers.masks import Halves, Join, Mask, Masked, channel_halves, checkerboard
from ..layers.spline import Spline, SplineCoupling
from .case import Case, Sizes


def _net(inputs: int, outputs: int) -> Layer:
    return Sequential(hidden=Linear(inputs, 6), tanh=Tanh(), out=Linear(6, outputs))


def _shape(s: Sizes) -> Any:
    return s.c + 1, s.h % 3 + 2, s.b % 2 + 1  # few numbers: `volume` takes a numeric Jacobian


def _images(s: Sizes) -> Any:
    return s.N, *_shape(s)


def _wide(s: Sizes) -> Any:
    return s.N, s.a + 1


def _halves(s: Sizes, flip: bool) -> tuple[int, int]:
    """Channels kept and moved."""
    D = s.a + 1
    return (D - D // 2, D // 2) if flip else (D // 2, D - D // 2)


def _affine(layer: Any, x: Any) -> Any:
    (b, h), c = x, layer.bound
    r, t = np.split(h, 2, -1)
    s = r if c is None else c * np.tanh(r / c)
    return b * np.exp(s) + t, s.reshape(len(s), -1).sum(1)


def _spline(layer: Any, x: Any) -> Any:
    """Number by number: the knots one after the other, then the formula of the paper (eqs. 4 and 5)."""
    b, h = x
    K, B, M = layer.bins, layer.reach, b.shape[-1]
    z, logs = b.copy(), np.zeros_like(b)
    planes = h.reshape(*b.shape[:-1], layer.planes, M)
    for i in np.ndindex(b.shape):
        numbers = planes[(*i[:-1], slice(None), i[-1])]
        e, f = np.exp(numbers[:K]), np.exp(numbers[K : 2 * K])
        slopes = np.r_[1, 1e-5 + np.log1p(np.exp(numbers[2 * K :]) * np.expm1(1 - 1e-5)), 1]
        X, Y = (np.r_[0, np.cumsum(layer.least + (1 - K * layer.least) * s / s.sum())] * 2 * B - B for s in (e, f))
        for k in range(K):
            if X[k] <= b[i] < X[k + 1] and abs(b[i]) < B:
                w, height, d, d1 = X[k + 1] - X[k], Y[k + 1] - Y[k], slopes[k], slopes[k + 1]
                s, xi = height / w, (b[i] - X[k]) / w
                below = s + (d1 + d - 2 * s) * xi * (1 - xi)
                z[i] = Y[k] + height * (s * xi**2 + d * xi * (1 - xi)) / below
                logs[i] = np.log(s**2 * (d1 * xi**2 + 2 * s * xi * (1 - xi) + d * (1 - xi) ** 2) / below**2)
    return z, logs.reshape(len(b), -1).sum(1)


def _coupled(layer: Any, x: Any) -> Any:
    """Of halves that are not flipped."""
    h = x.shape[-1] // 2
    z, logdet = _affine(layer.transform, (x[..., h:], layer.net.forward(x[..., :h])[0]))
    return np.concatenate((x[..., :h], z), -1), logdet


def _coupled_by_mask(layer: Any, x: Any) -> Any:
    """Of a checkerboard, pixel by pixel."""
    m = checkerboard(x.shape[1:])
    r, t = np.split(layer.net.forward(np.where(m, x, 0))[0], 2, -1)
    s = layer.transform.bound * np.tanh(r / layer.transform.bound)
    return np.where(m, x, x * np.exp(s) + t), np.where(m, 0, s).sum((1, 2, 3))


COUPLING_CASES: tuple[Case, ...] = (
    Case("Halves", Halves, lambda s: Halves(), _wide, reference=lambda _, x: tuple(np.split(x, [x.shape[-1] // 2], -1))),
    Case("Halves, flipped", Halves, lambda s: Halves(flip=True), lambda s: (s.N, s.T, s.a + 2)),
    Case(
        "Masked",
        Masked,
        lambda s: Masked(channel_halves((s.a + 1,), flip=True)),
        _wide,
        reference=lambda _, x: (
            np.where(np.arange(x.shape[1]) < x.shape[1] // 2, 0, x),
            np.where(np.arange(x.shape[1]) < x.shape[1] // 2, x, 0),
        ),
    ),
    Case(
        "Join of halves",
        Join,
        lambda s: Join(Halves(flip=True)),
        lambda s: ((s.N, s.T, s.a + 1), (s.N, s.T, s.a)),
        reference=lambda _, x: np.concatenate(x[::-1], -1),
    ),
    Case("Join of masks", Join, lambda s: Join(Masked(checkerboard(_shape(s)))), lambda s: (_images(s), _images(s))),
    Case(
        "Mask",
        Mask,
        lambda s: Mask(checkerboard(_shape(s), flip=True)),
        _images,
        reference=lambda _, x: x * (np.indices(x.shape).astype(int)[1:3].sum(0) % 2),
    ),
    Case("Affine", Affine, lambda s: Affine(1.5), lambda s: ((s.N, s.T, s.a), (s.N, s.T, 2 * s.a)), reference=_affine),
    Case("Affine without bound", Affine, lambda s: Affine(None), lambda s: ((s.N, s.a), (s.N, 2 * s.a)), reference=_affine),
    Case(
        "Coupling",
        Coupling,
        lambda s: Coupling(_net(_halves(s, True)[0], 2 * _halves(s, True)[1]), Affine(None), flip=True),
        _wide,
    ),
    Case(
        "AffineCoupling",
        AffineCoupling,
        lambda s: AffineCoupling(_net(_halves(s, False)[0], 2 * _halves(s, False)[1]), bound=2.0),
        _wide,
        reference=_coupled,
    ),
    Case(
        "AffineCoupling of a checkerboard",
        AffineCoupling,
        lambda s: AffineCoupling(
            Sequential(Conv2d(_shape(s)[-1], 3, 3, padding="same"), Tanh(), Conv2d(3, 2 * _shape(s)[-1], 1)),
            mask=checkerboard(_shape(s)),
        ),
        _images,
        reference=_coupled_by_mask,
    ),
    Case(
        "Spline",
        Spline,
        lambda s: Spline(s.c + 2, reach=1.5, least=1e-2),
        lambda s: ((s.N, s.T, s.a), (s.N, s.T, (3 * s.c + 5) * s.a)),
        reference=_spline,
    ),
    Case(
        "Spline of rows",
        Spline,
        lambda s: Spline(s.c + 2, reach=2.0),
        lambda s: ((s.N, s.a), (s.N, (3 * s.c + 5) * s.a)),
        reference=_spline,
    ),
    Case(
        "SplineCoupling",
        SplineCoupling,
        lambda s: SplineCoupling(_net(_halves(s, True)[0], 8 * _halves(s, True)[1]), bins=3, reach=2.0, flip=True),
        _wide,
    ),
    Case(
        "SplineCoupling of a checkerboard",
        SplineCoupling,
        lambda s: SplineCoupling(
            Sequential(Conv2d(_shape(s)[-1], 3, 3, padding="same"), Tanh(), Conv2d(3, 5 * _shape(s)[-1], 1)),
            bins=2,
            mask=checkerboard(_shape(s)),
        ),
        _images,
    ),
)
