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
from ..layers.bijection import Bijection
from ..layers.composite import Composite, Residual, Sequential
from ..layers.elementwise import Elementwise, LeakyReLU, ReLU, Sigmoid, SiLU, Softplus, Tanh
from ..layers.layer import Layer
from ..layers.linear import Linear
from ..layers.shape import Flatten, Reshape
from ..losses import adversarial, likelihood
from ..random import Key

ABSTRACT = (Layer, Composite, Bijection, Elementwise)  # what only subclasses can do


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


class Braid(Composite):
    """Wiring of every kind: a part called twice, sums, differences, multiples, a list, a dict, two inputs and two outputs."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.first, self.blocks = Linear(inputs, width), [Tanh(), Linear(width, width)]
        self.heads = {"one": SiLU(), "two": Linear(width, width)}

    def wire(self, f: Any, x: Any) -> Any:
        left, right = x
        h = f.first(left) - 2.0 * f.first(right)
        g = -f.blocks[0](h) * 0.5
        return h - g, f.heads["two"](f.heads["one"](f.blocks[1](g)) + h)

    def unwire(self, b: Any, dy: Any) -> Any:
        du, dv = dy
        ds = b.heads["two"](dv)
        dg = b.blocks[1](b.heads["one"](ds)) - du
        dh = sum((b.blocks[0](-dg * 0.5), ds, du))
        dright = b.first(-2.0 * dh, need_dx=b.need_dx)
        return b.first(dh, need_dx=b.need_dx), dright


class Careless(Composite):
    """An unwire that does not ask who needs dx: right, but it wastes work."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.part = Linear(inputs, inputs)

    def wire(self, f: Any, x: Any) -> Any:
        return f.part(x)

    def unwire(self, b: Any, dy: Any) -> Any:
        return b.part(dy)


CASES: tuple[Case, ...] = (
    Case("Composite", Braid, lambda s: Braid(s.a, s.b), lambda s: ((s.N, s.T, s.a), (s.N, s.T, s.a))),
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
    Case("Reshape", Reshape, lambda s: Reshape(s.a, s.h), lambda s: (s.N, s.h, s.a)),
    Case("Flatten", Flatten, lambda s: Flatten(), lambda s: (s.N, s.h, s.w, s.a)),
    Case("Sequential", Sequential, lambda s: Sequential(Linear(s.a, s.b), Tanh(), Linear(s.b, s.c)), _sequence),
    Case("Residual", Residual, lambda s: Residual(Sequential(SiLU(), Linear(s.a, s.a))), _rows),
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
