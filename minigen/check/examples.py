"""Layers that exist to be checked: wiring of every kind, and a bijection whose volume depends on x and on its parameters.

The composites of minigen.layers are proved on them, and they show a reader what a layer of his own needs.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..backend import Array, Shape, real_dtype
from ..layers import initialisers
from ..layers.bijection import Bijection
from ..layers.composite import Composite
from ..layers.elementwise import SiLU, Tanh
from ..layers.embedding import Embedding
from ..layers.layer import Weights
from ..layers.linear import Linear
from ..layers.linear_map import LinearMap
from ..layers.spectral_norm import SpectralNorm
from ..layers.vector import Spec
from ..random import Key


class Braid(Composite):
    """A part called twice, sums, differences, multiples, a list, a dict, three inputs (one of integers) and two outputs."""

    def __init__(self, inputs: int, width: int, classes: int) -> None:
        super().__init__()
        self.first, self.blocks = Linear(inputs, width), [Tanh(), Linear(width, width)]
        self.heads = {"one": SiLU(), "two": Linear(width, width)}
        self.label = Embedding(classes, width)

    def wire(self, f: Any, x: Any) -> Any:
        left, right, label = x
        h = f.first(left) - 2.0 * f.first(right)
        g = -f.blocks[0](h) * 0.5 + f.label(label)
        return h - g, f.heads["two"](f.heads["one"](f.blocks[1](g)) + h)

    def unwire(self, b: Any, dy: Any) -> Any:
        du, dv = dy
        ds = b.heads["two"](dv)
        dg = b.blocks[1](b.heads["one"](ds)) - du
        dlabel = b.label(dg, need_dx=b.need_dx)
        dh = sum((b.blocks[0](-dg * 0.5), ds, du))
        dright = b.first(-2.0 * dh, need_dx=b.need_dx)
        return b.first(dh, need_dx=b.need_dx), dright, dlabel


class Careless(Composite):
    """An unwire that does not ask who needs dx: right, but it wastes work."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.part = Linear(inputs, inputs)

    def wire(self, f: Any, x: Any) -> Any:
        return f.part(x)

    def unwire(self, b: Any, dy: Any) -> Any:
        return b.part(dy)


class WarpCache(NamedTuple):
    x: Array  # (N, ..., D)
    w: Weights | None  # s (D,)


class Warp(Bijection):
    """(N, ..., D) -> z = sinh(x) e^s and logdet = sum (log cosh x + s) over all of a row. D numbers, P positions of a row.

    dz/dx = cosh(x) e^s, so dx = dz cosh(x) e^s + dlogdet tanh(x), ds = sum over rows and positions of (dz z + dlogdet).
    """

    def __init__(self, D: int) -> None:
        super().__init__(s=Spec((D,), initialisers.zeros))

    def forward(self, x: Array, *, train: bool = False, key: Key | None = None) -> tuple[tuple[Array, Array], WarpCache]:
        w = self.weights()
        return (np.sinh(x) * np.exp(w.s), _over_row(np.log(np.cosh(x)) + w.s)), WarpCache(x, w)

    def inverse(self, z: Array) -> tuple[Array, Array]:
        w = self.weights()
        x = np.arcsinh(z * np.exp(-w.s))
        return x, -_over_row(np.log(np.cosh(x)) + w.s)

    def backward(self, dy: Any, cache: WarpCache, *, need_dx: bool = True, param_grads: bool = True) -> Array | None:
        w, x = self.weights(cache), cache.x
        dz, dl = _both(dy, x)
        if param_grads and self.learns:
            self.learn(w, s=_to_D(dz * np.sinh(x) * np.exp(w.s) + dl))
        return dz * np.cosh(x) * np.exp(w.s) + dl * np.tanh(x) if need_dx else None

    def jvp(self, x_dot: Array, cache: WarpCache, *, move_params: bool = False) -> tuple[tuple[Array, Array], WarpCache]:
        w, x = self.weights(cache), cache.x
        w_dot = self.weights_dot(w, move_params)
        s_dot = w_dot.s if w_dot else 0 * w.s
        z_dot = np.exp(w.s) * (np.cosh(x) * x_dot + np.sinh(x) * s_dot)
        return (z_dot, _over_row(np.tanh(x) * x_dot + s_dot)), WarpCache(x_dot, w_dot)

    def backward_jvp(
        self,
        dy: Any,
        dy_dot: Any,
        cache: WarpCache,
        tangents: WarpCache,
        *,
        need_dx: bool = True,
        param_grads: bool = True,
    ) -> tuple[Array | None, Array | None]:
        w, x, x_dot = self.weights(cache), cache.x, tangents.x
        s_dot = tangents.w.s if tangents.w else 0 * w.s
        (dz, dl), (dz_dot, dl_dot), e = _both(dy, x), _both(dy_dot, x), np.exp(w.s)
        sinh, cosh = np.sinh(x), np.cosh(x)
        if param_grads and self.learns:
            moved = e * (dz_dot * sinh + dz * (cosh * x_dot + sinh * s_dot)) + dl_dot
            self.learn_dot(w, tangents.w, s=(lambda: _to_D(dz * sinh * e + dl), _to_D(moved)))
        if not need_dx:
            return None, None
        dx_dot = e * (dz_dot * cosh + dz * (sinh * x_dot + cosh * s_dot)) + dl_dot * np.tanh(x) + dl * x_dot / cosh**2
        return dz * cosh * e + dl * np.tanh(x), dx_dot


class CentredCache(NamedTuple):
    mean: Array | None  # (D,) of the batch; None outside training


class Centred(Bijection):
    """(N, ..., D) -> z = x - m and logdet 0, m a running mean of batches, constant in every pass: a bijection with state."""

    def __init__(self, D: int) -> None:
        super().__init__()
        self.D = D

    def begin_state(self, key: Key) -> None:
        super().begin_state(key)
        self.state["mean"] = np.zeros(self.D)

    def forward(self, x: Array, *, train: bool = False, key: Key | None = None) -> tuple[tuple[Array, int], CentredCache]:
        mean = _to_D(x.real) / max(1, x.size // self.D) if train else None
        return (x - self.state["mean"].astype(x.dtype), 0), CentredCache(mean)

    def inverse(self, z: Array) -> tuple[Array, int]:
        return z + self.state["mean"].astype(z.dtype), 0

    def backward(self, dy: Any, cache: CentredCache, *, need_dx: bool = True, param_grads: bool = True) -> Array | None:
        return dy[0] if need_dx else None

    def jvp(self, x_dot: Array, cache: CentredCache, *, move_params: bool = False) -> tuple[tuple[Array, int], CentredCache]:
        return (x_dot, 0), cache

    def backward_jvp(
        self,
        dy: Any,
        dy_dot: Any,
        cache: CentredCache,
        tangents: CentredCache,
        *,
        need_dx: bool = True,
        param_grads: bool = True,
    ) -> tuple[Array | None, Array | None]:
        return (dy[0], dy_dot[0]) if need_dx else (None, None)

    def commit(self, cache: CentredCache) -> None:
        if cache.mean is not None:
            self.state["mean"] = self.state["mean"] + 0.1 * (cache.mean - self.state["mean"])


class Drift(LinearMap):
    """A computed weight with state: W times a factor that grows by 0.1 with every commit, constant in every pass."""

    def begin_weight(self, W: Array, key: Key) -> None:
        self.state["factor"] = np.full(1, 1.5)

    def fix(self, x: Array) -> Array:
        return self.state["factor"].astype(real_dtype(x.dtype))

    def there(self, x: Array, cache: Array) -> Array:
        return x * cache

    def back(self, dy: Array, cache: Array) -> Array:
        return dy * cache

    def commit(self, cache: Array) -> None:
        self.state["factor"] = self.state["factor"] + 0.1


class Standing(SpectralNorm):
    """SpectralNorm as a layer by itself, whose x is a weight of this shape; it begins with the vectors of a random one."""

    def __init__(self, shape: Shape) -> None:
        super().__init__(first=100)
        self.shape = shape

    def begin_state(self, key: Key) -> None:
        super().begin_state(key)
        self.begin_weight(key.at("W").normal(self.shape, np.float64), key)


def _over_row(x: Array) -> Array:
    """The sum over all axes but the first."""
    total: Array = x.sum(tuple(range(1, x.ndim)))
    return total


def _to_D(x: Array) -> Array:
    """The sum over all axes but the last."""
    total: Array = x.sum(tuple(range(x.ndim - 1)))
    return total


def _both(dy: Any, x: Array) -> tuple[Any, Any]:
    """dz, and dlogdet in a shape that meets every number of its row; zeros where there is none."""
    dz, dlogdet = dy
    return 0 * x if dz is None else dz, 0 * x if dlogdet is None else dlogdet.reshape(-1, *(1,) * (x.ndim - 1)) + 0 * x
