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
    Case("Halves, flipped", Halves, lambda s: Halves(flip=True), _wide),
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
        lambda s: ((s.N, s.a + 1), (s.N, s.a)),
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
)
