"""Embedding and Unembedding: integers to rows of a table, and products with the same rows back to scores.

    Embedding      y_n = E[x_n]              dE[v] = sum over the n with x_n = v of dy_n         x are integers: there is no dx
    Unembedding    y_nv = sum_w x_nw E_vw    dx = dy E,   dE = dy' x

Both may hold one table (Press and Wolf 2017): what is tied is the Spec, so it lies in the flat vector once, both layers look
into the same memory, and their gradients add up there.

V rows, W width; "..." any number of leading axes, the places n.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

from ..backend import Array, device_of, zeros
from ..kernels.matmul import matmul
from ..kernels.rows import add_up, take
from ..random import Key
from .finish import rows
from .initialisers import normal
from .layer import Layer, Weights
from .vector import Initialiser, Spec


class EmbeddingCache(NamedTuple):
    ids: Array  # (...), integers
    w: Weights | None  # E (V, W)


class Embedding(Layer):
    """(...) integers -> (..., W), the rows of E (V, W) that they name; dx is None.

    Raises TypeError where x does not hold integers, and ValueError where one is not in 0 .. V - 1. On a GPU that check would
    wait for the device, so there such a row is NaN instead.
    """

    streams = True

    def __init__(self, rows: int, width: int, *, initialiser: Initialiser | None = None) -> None:
        super().__init__(E=Spec((rows, width), initialiser or normal(1.0)))
        self.rows, self.width = rows, width

    def forward(self, x: Array, *, train: bool = False, key: Key | None = None) -> tuple[Array, EmbeddingCache]:
        if x.dtype.kind not in "iu":
            raise TypeError(f"Embedding({self.rows}, {self.width}) takes integers, and got {x.dtype} of shape {x.shape}")
        w = self.weights()
        if device_of(x) == "cpu" and (outside := (x < 0) | (x >= self.rows)).any():
            raise ValueError(
                f"Embedding({self.rows}, {self.width}) got id {x[outside][0]} in x of shape {x.shape}: it has "
                f"{self.rows} rows, so ids are 0 .. {self.rows - 1}"
            )
        return take(w.E, x), EmbeddingCache(x, w)

    def backward(self, dy: Array, cache: EmbeddingCache, *, need_dx: bool = True, param_grads: bool = True) -> None:
        w = self.weights(cache)
        if param_grads and self.learns:
            self.learn(w, E=partial(add_up, cache.ids.reshape(-1), rows(dy), self.rows))

    def jvp(self, x_dot: None, cache: EmbeddingCache, *, move_params: bool = False) -> tuple[Array, EmbeddingCache]:
        w = self.weights(cache)
        w_dot = self.weights_dot(w, move_params)
        y_dot = take(w_dot.E, cache.ids) if w_dot else zeros((*cache.ids.shape, self.width), w.E.dtype, like=w.E)
        return y_dot, EmbeddingCache(cache.ids, w_dot)

    def backward_jvp(
        self,
        dy: Array,
        dy_dot: Array,
        cache: EmbeddingCache,
        tangents: EmbeddingCache,
        *,
        need_dx: bool = True,
        param_grads: bool = True,
    ) -> tuple[None, None]:
        w, ids = self.weights(cache), cache.ids.reshape(-1)
        if param_grads and self.learns:
            dE_dot = add_up(ids, rows(dy_dot), self.rows)
            self.learn_dot(w, tangents.w, E=(partial(add_up, ids, rows(dy), self.rows), dE_dot))
        return None, None


class UnembeddingCache(NamedTuple):
    x: Array  # (..., W)
    w: Weights | None  # E (V, W)


class Unembedding(Layer):
    """(..., W) -> (..., V), y = x E', with the table of an Embedding: a tie with a transpose in it is a layer.

    Raises ValueError where x does not have W columns.
    """

    streams = True

    def __init__(self, table: Embedding) -> None:
        super().__init__(E=table.specs["E"])  # the same Spec is the same parameter; `table` itself is no child of this layer
        self.rows, self.width = table.rows, table.width

    def forward(self, x: Array, *, train: bool = False, key: Key | None = None) -> tuple[Array, UnembeddingCache]:
        if x.shape[-1] != self.width:
            raise ValueError(
                f"Unembedding of E ({self.rows}, {self.width}) got x of shape {x.shape}: its last axis must be {self.width}"
            )
        w = self.weights()
        return _scores(x, w.E), UnembeddingCache(x, w)

    def backward(self, dy: Array, cache: UnembeddingCache, *, need_dx: bool = True, param_grads: bool = True) -> Array | None:
        w = self.weights(cache)
        if param_grads and self.learns:
            self.learn(w, E=lambda **into: matmul(rows(dy), rows(cache.x), transpose_a=True, **into))
        return _back(dy, w.E) if need_dx else None

    def jvp(self, x_dot: Array, cache: UnembeddingCache, *, move_params: bool = False) -> tuple[Array, UnembeddingCache]:
        w = self.weights(cache)
        w_dot = self.weights_dot(w, move_params)
        y_dot = _scores(x_dot, w.E)
        if w_dot:
            y_dot += _scores(cache.x, w_dot.E)
        return y_dot, UnembeddingCache(x_dot, w_dot)

    def backward_jvp(
        self,
        dy: Array,
        dy_dot: Array,
        cache: UnembeddingCache,
        tangents: UnembeddingCache,
        *,
        need_dx: bool = True,
        param_grads: bool = True,
    ) -> tuple[Array | None, Array | None]:
        w, w_dot = self.weights(cache), tangents.w
        if param_grads and self.learns:
            dE_dot = matmul(rows(dy_dot), rows(cache.x), transpose_a=True)
            dE_dot += matmul(rows(dy), rows(tangents.x), transpose_a=True)
            self.learn_dot(w, w_dot, E=(lambda: matmul(rows(dy), rows(cache.x), transpose_a=True), dE_dot))
        if not need_dx:
            return None, None
        dx_dot = _back(dy_dot, w.E)
        if w_dot:
            dx_dot += _back(dy, w_dot.E)
        return _back(dy, w.E), dx_dot


def _scores(x: Array, E: Array) -> Array:
    """x E': (..., W), (V, W) -> (..., V)."""
    return matmul(rows(x), E, transpose_b=True).reshape(*x.shape[:-1], E.shape[0])


def _back(dy: Array, E: Array) -> Array:
    """dy E: (..., V), (V, W) -> (..., W)."""
    return matmul(rows(dy), E).reshape(*dy.shape[:-1], E.shape[1])
