"""One or more cases for every layer and loss of minigen: how to make it, and what goes in, at given sizes.

The property suite draws sizes (1, primes, a tile plus or minus one) for them, and the mutator uses `SMALL`.

N rows; a, b, c counts of channels or features; h, w the sides of an image, T positions.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, NamedTuple

import numpy as np

from .. import layers
from ..layers.batch_norm import BatchNorm
from ..layers.bijection import Bijection, Chain
from ..layers.combine import Concatenate, Split, Sum
from ..layers.composite import Composite, Residual, Sequential
from ..layers.conv2d import Conv2d, Convolution, ConvTranspose2d
from ..layers.dropout import Dropout
from ..layers.elementwise import Elementwise, LeakyReLU, ReLU, Sigmoid, SiLU, Softplus, Tanh
from ..layers.embedding import Embedding, Unembedding
from ..layers.layer import Layer
from ..layers.layer_norm import LayerNorm
from ..layers.linear import Linear
from ..layers.linear_map import LinearMap
from ..layers.pooling import AveragePool2d, GlobalAveragePool, MaxPool2d
from ..layers.shape import Flatten, Reshape
from ..layers.softmax import Softmax
from ..layers.spectral_norm import SpectralNorm
from ..layers.squeeze import DepthToSpace, SpaceToDepth, Squeeze
from ..layers.upsample import BilinearUpsample, NearestUpsample
from ..losses import adversarial, likelihood
from ..random import Key
from . import plain
from .examples import Braid, Careless, Warp

ABSTRACT = (Layer, Composite, Bijection, Elementwise, Convolution, LinearMap)  # what only subclasses can do


class Sizes(NamedTuple):
    """Everything a case may take its shapes from."""

    N: int
    a: int
    b: int
    c: int
    h: int
    w: int
    T: int
    seed: int

    def ids(self, shape: tuple[int, ...], below: int) -> Any:
        """Random integers, as labels and tokens are."""
        return Key(self.seed).at("ids").integers(below, shape)


SMALL = Sizes(N=3, a=4, b=5, c=2, h=4, w=5, T=3, seed=0)


@dataclass(frozen=True)
class Case:
    """A layer at given sizes."""

    name: str
    cls: type[Layer]
    make: Callable[[Sizes], Layer]
    x: Callable[[Sizes], Any]
    skip: Mapping[str, str] = field(default_factory=dict)  # property -> why it does not apply
    reference: Callable[[Any, Any], Any] | None = None  # (layer, x) -> y, without training, as plainly as can be


@dataclass(frozen=True)
class LossCase:
    """A loss at given sizes: itself and its companion, its arguments, and a plain definition of its value.

    `make` looks them up in their module when it is called, so that the mutator can put another function there.
    """

    name: str
    make: Callable[[], tuple[Callable[..., Any], Callable[..., Any]]]
    args: Callable[[Sizes], tuple[Any, ...]]
    reference: Callable[..., Any]
    large: float | None = None  # its logits may be so large


def _rows(s: Sizes) -> Any:
    return s.N, s.a


def _sequence(s: Sizes) -> Any:
    return s.N, s.T, s.a


def _activation(cls: type[Layer], f: Callable[[Any], Any]) -> Case:
    return Case(cls.__name__, cls, lambda s: cls(), _rows, reference=lambda _, x: f(x))


def _image(s: Sizes) -> Any:
    return s.N, s.h + 2, s.w + 2, s.a


def _factor(s: Sizes) -> int:
    return 2 + s.c % 2


def _blocks(s: Sizes) -> Any:
    return s.N, _factor(s) * s.h, _factor(s) * s.w, s.a


def _deep(s: Sizes) -> Any:
    return s.N, s.h, s.w, _factor(s) ** 2 * s.a


_BRAID = lambda s: ((s.N, s.T, s.a), (s.N, s.T, s.a), s.ids((s.N, s.T), s.c + 1))
_DRIFTS = {"definition": "its vectors are near the singular ones, not equal to them"}

CASES: tuple[Case, ...] = (
    Case("Composite", Braid, lambda s: Braid(s.a, s.b, s.c + 1), _BRAID),
    Case("careless Composite", Careless, lambda s: Careless(s.a), _rows, {"spared work": "that is what is careless in it"}),
    Case("Linear", Linear, lambda s: Linear(s.a, s.b), _rows, reference=lambda l, x: x @ l.params["W"] + l.params["b"]),
    Case("Linear with computed weights", Linear, lambda s: Linear(s.a, s.b).compute("W", Tanh()).compute("b", Tanh()), _rows),
    Case("Linear without bias", Linear, lambda s: Linear(s.a, s.b, bias=False), _sequence),
    _activation(ReLU, lambda x: np.maximum(x, 0)),
    _activation(LeakyReLU, lambda x: np.where(x > 0, x, 0.2 * x)),
    _activation(Tanh, lambda x: (np.exp(x) - np.exp(-x)) / (np.exp(x) + np.exp(-x))),
    _activation(Sigmoid, lambda x: 1 / (1 + np.exp(-x))),
    _activation(SiLU, lambda x: x / (1 + np.exp(-x))),
    _activation(Softplus, lambda x: np.log(1 + np.exp(x))),
    Case("Softmax", Softmax, lambda s: Softmax(), _rows, reference=plain.softmax),
    Case("Dropout", Dropout, lambda s: Dropout(0.3), _sequence, reference=lambda _, x: x),
    Case("LayerNorm", LayerNorm, lambda s: LayerNorm(s.a + 1), lambda s: (s.N, s.T, s.a + 1), reference=plain.layer_norm),
    Case("BatchNorm", BatchNorm, lambda s: BatchNorm(s.a), _image, reference=plain.batch_norm),
    Case("BatchNorm of rows", BatchNorm, lambda s: BatchNorm(s.a), lambda s: (s.N + 2, s.a), reference=plain.batch_norm),
    Case(
        "Embedding",
        Embedding,
        lambda s: Embedding(s.b + 1, s.a),
        lambda s: s.ids((s.N, s.T), s.b + 1),
        reference=lambda l, x: l.params["E"][x],
    ),
    Case(
        "Embedding with computed weights",
        Embedding,
        lambda s: Embedding(s.b + 1, s.a).compute("E", Tanh()),
        lambda s: s.ids((s.N, s.T), s.b + 1),
    ),
    Case(
        "Unembedding",
        Unembedding,
        lambda s: Unembedding(Embedding(s.b, s.a)),
        _sequence,
        reference=lambda l, x: x @ l.params["E"].T,
    ),
    Case(
        "Unembedding with computed weights",
        Unembedding,
        lambda s: Unembedding(Embedding(s.b, s.a)).compute("E", Tanh()),
        _sequence,
    ),
    Case("Conv2d", Conv2d, lambda s: Conv2d(s.a, s.b, 3, padding="same"), _image, reference=plain.conv2d),
    Case(
        "Conv2d with stride and dilation",
        Conv2d,
        lambda s: Conv2d(s.a, s.b, (2, 3), stride=(2, 1), padding=(0, 1), dilation=(2, 1), bias=False),
        lambda s: (s.N, s.h + 2, s.w, s.a),
        reference=plain.conv2d,
    ),
    Case(
        "Conv2d with computed weights", Conv2d, lambda s: Conv2d(s.a, s.c, 2).compute("W", Tanh()).compute("b", Tanh()), _image
    ),
    Case(
        "ConvTranspose2d",
        ConvTranspose2d,
        lambda s: ConvTranspose2d(s.a, s.b, 4, stride=2, padding=1),
        lambda s: (s.N, s.h, s.w, s.a),
        reference=plain.conv_transpose2d,
    ),
    Case(
        "ConvTranspose2d with output padding",
        ConvTranspose2d,
        lambda s: ConvTranspose2d(s.a, s.b, (3, 2), stride=(2, 3), output_padding=(1, 2), dilation=(1, 2), bias=False),
        lambda s: (s.N, s.h, s.w, s.a),
        reference=plain.conv_transpose2d,
    ),
    Case("SpectralNorm of Linear", SpectralNorm, lambda s: Linear(s.a, s.b).compute("W", SpectralNorm()), _rows, _DRIFTS),
    Case("SpectralNorm of Conv2d", SpectralNorm, lambda s: Conv2d(s.a, s.b, 2).compute("W", SpectralNorm()), _image, _DRIFTS),
    Case(
        "AveragePool2d",
        AveragePool2d,
        lambda s: AveragePool2d((2, 3), stride=(2, 1), padding=(0, 1)),
        _image,
        reference=plain.pool(np.mean, 0.0),
    ),
    Case(
        "MaxPool2d",
        MaxPool2d,
        lambda s: MaxPool2d((3, 2), stride=(1, 2), padding=(1, 0)),
        _image,
        reference=plain.pool(np.max, -np.inf),
    ),
    Case(
        "GlobalAveragePool",
        GlobalAveragePool,
        lambda s: GlobalAveragePool(),
        _image,
        reference=lambda _, x: np.einsum("nhwc->nc", x) / (x.shape[1] * x.shape[2]),
    ),
    Case("NearestUpsample", NearestUpsample, lambda s: NearestUpsample(_factor(s)), _image, reference=plain.nearest),
    Case("BilinearUpsample", BilinearUpsample, lambda s: BilinearUpsample(_factor(s)), _image, reference=plain.bilinear),
    Case("SpaceToDepth", SpaceToDepth, lambda s: SpaceToDepth(_factor(s)), _blocks, reference=plain.space_to_depth),
    Case("DepthToSpace", DepthToSpace, lambda s: DepthToSpace(_factor(s)), _deep, reference=plain.depth_to_space),
    Case("Squeeze", Squeeze, lambda s: Squeeze(2), lambda s: (s.N, 2 * (1 + s.h % 2), 4, 1 + s.a % 3)),
    Case("Reshape", Reshape, lambda s: Reshape(s.a, s.h), lambda s: (s.N, s.h, s.a)),
    Case("Flatten", Flatten, lambda s: Flatten(), lambda s: (s.N, s.h, s.w, s.a)),
    Case("Sum", Sum, lambda s: Sum(), lambda s: (_sequence(s),) * 3, reference=lambda _, x: x[0] + x[1] + x[2]),
    Case("Concatenate", Concatenate, lambda s: Concatenate(), lambda s: ((s.N, s.T, s.a), (s.N, s.T, s.b))),
    Case("Concatenate along 1", Concatenate, lambda s: Concatenate(1), lambda s: ((s.N, s.T, s.a), (s.N, s.h, s.a))),
    Case("Split", Split, lambda s: Split((s.a, s.b)), lambda s: (s.N, s.T, s.a + s.b)),
    Case("Split along 1", Split, lambda s: Split((s.T, s.h), axis=1), lambda s: (s.N, s.T + s.h, s.a)),
    Case("Sequential", Sequential, lambda s: Sequential(Linear(s.a, s.b), Tanh(), Linear(s.b, s.c)), _sequence),
    Case("Sequential with state", Sequential, lambda s: Sequential(Linear(s.a, s.b), norm=BatchNorm(s.b)), _image),
    Case("Residual", Residual, lambda s: Residual(Sequential(SiLU(), Linear(s.a, s.a))), _rows),
    Case("Chain", Chain, lambda s: Chain(Warp(s.a), Warp(s.a)), _rows),
    Case("Chain that stores nothing", Chain, lambda s: Chain(Warp(s.a), Warp(s.a), store=False), _sequence),
)


def _mean(total: Any, x: Any) -> Any:
    return total.sum() / len(x)


def _one_hot(labels: Any, K: int) -> Any:
    return (labels[..., None] == np.arange(K)).astype(float)


def _likelihood(
    name: str, args: Callable[[Sizes], tuple[Any, ...]], reference: Callable[..., Any], large: float | None = None
) -> LossCase:
    return LossCase(name, lambda: (getattr(likelihood, name), getattr(likelihood, f"{name}_dot")), args, reference, large)


def _side(name: str, make: Callable[[], adversarial.Side], reference: Callable[[Any], Any]) -> LossCase:
    def made() -> tuple[Callable[..., Any], Callable[..., Any]]:
        side = make()
        return side, side.dot

    return LossCase(name, made, lambda s: ((s.N, s.a),), lambda l: reference(l).mean(), 1e4)


def _softplus(l: Any) -> Any:
    return np.log(1 + np.exp(l))


LOSSES: tuple[LossCase, ...] = (
    _likelihood(
        "bernoulli",
        lambda s: ((s.N, s.a, s.b), Key(s.seed).uniform((s.N, s.a, s.b), np.float64)),
        lambda l, x: _mean(-x * np.log(1 / (1 + np.exp(-l))) - (1 - x) * np.log(1 / (1 + np.exp(l))), x),
        1e4,
    ),
    _likelihood(
        "categorical",
        lambda s: ((s.N, s.a, s.b + 1), s.ids((s.N, s.a), s.b + 1)),
        lambda l, x: _mean(-np.log((np.exp(l) * _one_hot(x, l.shape[-1])).sum(-1) / np.exp(l).sum(-1)), x),
        1e4,
    ),
    _likelihood(
        "gaussian",
        lambda s: ((s.N, s.a), (s.N, s.a), (s.N, s.a)),
        lambda m, v, x: _mean(-np.log(np.exp(-((x - m) ** 2) / (2 * np.exp(v))) / np.sqrt(2 * np.pi * np.exp(v))), x),
    ),
    _likelihood("mse", lambda s: ((s.N, s.a), (s.N, s.a)), lambda y, t: ((y - t) ** 2).mean()),
    _likelihood(
        "gaussian_kl",
        lambda s: ((s.N, s.a), (s.N, s.a)),
        lambda m, v: _mean(0.5 * (m**2 + np.exp(v) - 1 - v), m),
    ),
    _side("cross_entropy", lambda: adversarial.cross_entropy(0.9), lambda l: _softplus(l) - 0.9 * l),
    _side("least squares", lambda: adversarial._squares(1.0), lambda l: (l - 1) ** 2 / 2),
    _side("linear", lambda: adversarial._linear(-1.0), lambda l: -l),
    _side("hinge", lambda: adversarial._hinge(-1.0), lambda l: np.maximum(0, 1 - l)),
    _side("minimax generator", lambda: adversarial.game("minimax").generator, lambda l: -_softplus(l)),
)


def layer_classes() -> list[type[Layer]]:
    """Every public Layer subclass that is defined in minigen.layers and can be used as it is."""
    found: dict[type[Layer], None] = {}
    for module in (import_module(f"{layers.__name__}.{info.name}") for info in iter_modules(layers.__path__)):
        for name, thing in vars(module).items():
            here = inspect.isclass(thing) and issubclass(thing, Layer) and thing.__module__ == module.__name__
            if here and not name.startswith("_") and thing not in ABSTRACT:
                found[thing] = None
    return list(found)


def loss_names() -> list[str]:
    """Every loss of minigen.losses.likelihood: the functions that have a companion `<name>_dot`."""
    return [name for name in vars(likelihood) if f"{name}_dot" in vars(likelihood)]
