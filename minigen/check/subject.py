"""A layer under test: in float64, with random parameters, a state that has moved, an input, and random cotangents and tangents.

Letters as in layers/layer.py; v is the direction in which parameters move.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ..backend import Array, device_of, to_device
from ..layers.layer import Cache, Layer
from ..layers.tree import Tree, leaves, map_tree
from ..layers.vector import Vector
from ..random import Key
from .values import filled, normal_like, stir, to

STEP = 1e-30  # of the complex step: nothing is subtracted, so it may be as small as it likes


class Lacks(Exception):
    """A property does not hold; the text says where."""


class Skip(Exception):
    """A property does not apply; the text says why."""


class Meter:
    """Collects the errors of one property and stops at the first that is too large."""

    def __init__(self, tolerance: float) -> None:
        self.tolerance, self.worst = tolerance, 0.0

    def expect(self, what: str, error: float, tolerance: float | None = None) -> None:
        """Raises Lacks unless `error` is within the tolerance; NaN never is."""
        limit = self.tolerance if tolerance is None else tolerance
        if not (error <= limit):
            raise Lacks(f"{what} is off by {error:.1e}, where {limit:.0e} is allowed")
        self.worst = max(self.worst, error)


def prepared(layer: Layer | Callable[[], Layer], x: Any, key: Key) -> tuple[Layer, Tree]:
    """A float64 copy of the layer, with random parameters and a state that has moved, and its input."""
    template = layer if isinstance(layer, Layer) else layer()
    if not isinstance(template, Layer):
        raise TypeError(f"suite takes a Layer or a function that makes one, not {type(template).__name__}")
    fresh = not template.laid_out
    made = copy.deepcopy(template).initialise(key.at("layer"), np.float64) if fresh else template.clone(np.float64)
    stir(vector_of(made), key.at("parameters"))
    inputs = filled(x, key.at("x"))
    if any(node.state for _, node in made.walk()):
        half = map_tree(lambda leaf: 0.5 * leaf if leaf.dtype.kind == "f" else leaf, inputs)
        for i, some in enumerate((inputs, half)):
            made.commit(made.forward(some, train=True, key=key.at("state", i))[1])
    return made, inputs


def vector_of(layer: Layer) -> Vector:
    """The vector of a layer that was laid out by itself."""
    assert layer.vector is not None
    return layer.vector


class Subject:
    """One layer, one input, one mode."""

    def __init__(self, layer: Layer, x: Tree, train: bool, key: Key) -> None:
        self.layer, self.x, self.train, self.key = layer, x, train, key
        self.reference: Callable[[Layer, Tree], Tree] | None = None  # a plain definition of y
        self.trained: Callable[[Layer, Tree, Cache], Tree] | None = None  # of y in training, at the noise in the cache
        self.committed: Callable[[Layer, Tree], dict[str, Any]] | None = None  # and of the state after a training step
        self.trains, self.samples = train, not train  # both, where training makes no difference
        self.vector = vector_of(layer)
        self.first = next(leaves(x))
        self.y, self.cache = self.forward()
        self.device = device_of(self.first)
        self.dy = to(normal_like(self.y, key.at("dy"), len(self.first)), self.device)
        self.dy_dot = to(normal_like(self.y, key.at("dy_dot"), len(self.first)), self.device)
        self.x_dot = to(normal_like(x, key.at("x_dot")), self.device)
        drawn = {path: key.at("v", path).normal(p.shape, np.float64) for path, p in self.parameters.items()}
        self.v = {path: to_device(v, self.device) for path, v in drawn.items()}
        for path, view in self.vector.views(self.vector.theta_dot).items():
            if path in self.v:
                view[...] = self.v[path]

    # ---- the four passes, as the properties call them

    def forward(self, x: Any = ..., layer: Layer | None = None) -> tuple[Tree, Cache]:
        """forward at this mode and key, of this layer at this input by default."""
        return (layer or self.layer).forward(self.x if x is ... else x, train=self.train, key=self.key.at("forward"))

    def backward(self, cache: Any = None, dy: Any = ..., layer: Layer | None = None, **options: bool) -> tuple[Tree, Any]:
        """dx and the parameter gradients that backward adds to zero, by path."""
        layer = layer or self.layer
        layer.zero_grads()
        dx = layer.backward(self.dy if dy is ... else dy, self.cache if cache is None else cache, **options)
        return dx, self.grads(layer)

    def backward_jvp(
        self, tangents: Cache, layer: Layer | None = None, dy_dot: Any = ..., **options: bool
    ) -> tuple[Tree, Tree, Any]:
        """dx, dx_dot and what backward_jvp adds to zero gradients, by path."""
        layer = layer or self.layer
        layer.zero_grads()
        dy_dot = self.dy_dot if dy_dot is ... else dy_dot
        dx, dx_dot = layer.backward_jvp(self.dy, dy_dot, self.cache, tangents, **options)
        return dx, dx_dot, self.grads(layer)

    def tangents(self, move_params: bool = False) -> Cache:
        """The tangents of jvp at x_dot, and along v; Skip where jvp is not written."""
        return self.jvp(move_params)[1]

    def jvp(self, move_params: bool = False) -> tuple[Tree, Cache]:
        """y_dot and the tangents."""
        try:
            return self.layer.jvp(self.x_dot, self.cache, move_params=move_params)
        except NotImplementedError as error:
            raise Skip(str(error)) from None

    @staticmethod
    def grads(layer: Layer) -> dict[str, Array]:
        """A copy of every gradient, tied ones under their first path."""
        vector = vector_of(layer)
        seen: dict[Any, str] = {}
        for path, place in vector.places.items():
            seen.setdefault(place, path)
        return {path: place.of(vector.grad).copy() for place, path in seen.items()}

    @cached_property
    def parameters(self) -> dict[str, Any]:
        """path -> place of every parameter, tied ones once."""
        seen: dict[Any, str] = {}
        for path, place in self.vector.places.items():
            seen.setdefault(place, path)
        return {path: place for place, path in seen.items()}

    # ---- the complex twin

    @cached_property
    def twin(self) -> Layer:
        """This layer in complex128."""
        return self.layer.clone(np.complex128)

    def moved(self, x: bool, parameters: tuple[str, ...] = ()) -> tuple[Tree, Cache]:
        """The twin's forward with x + i h x_dot and parameters + i h v; the twin keeps those parameters until `still`."""
        vector = vector_of(self.twin)
        for path in parameters:
            vector.places[path].of(vector.theta).imag[...] = STEP * self.v[path]
        return self.forward(self.leaning(self.x, self.x_dot) if x else self.x, self.twin)

    def still(self) -> None:
        """The twin's parameters are real again."""
        vector_of(self.twin).theta.imag[...] = 0

    @staticmethod
    def leaning(value: Tree, dot: Tree) -> Tree:
        """value + i h dot; leaves that cannot move, as they are."""
        if isinstance(value, tuple):
            return tuple(Subject.leaning(a, b) for a, b in zip(value, dot, strict=True))
        return value if dot is None else value + 1j * STEP * dot

    # ---- other kinds of the same

    def as_type(self, dtype: DTypeLike) -> Subject:
        """The same in another float type."""
        x = map_tree(lambda leaf: leaf.astype(dtype) if leaf.dtype.kind == "f" else leaf, self.x)
        other = Subject(self.layer.clone(dtype), x, self.train, self.key)
        for name in ("dy", "dy_dot", "x_dot"):
            setattr(other, name, map_tree(lambda leaf: leaf.astype(dtype), getattr(self, name)))
        return other

    def on(self, device: str) -> Subject:
        """The same on another device: what is random is drawn on the CPU, and moved there."""
        return Subject(moved_to(self.layer, device), to(self.x, device), self.train, self.key)

    @cached_property
    def needs_key(self) -> bool:
        """Whether forward refuses to go without a key."""
        try:
            self.layer.forward(self.x, train=self.train)
        except ValueError:
            return True
        return False

    @cached_property
    def draws_noise(self) -> bool:
        """Whether forward needs a key, or gives another output with another one."""
        other, _ = self.layer.forward(self.x, train=self.train, key=self.key.at("another"))
        return self.needs_key or any(not np.array_equal(a, b) for a, b in zip(leaves(other), leaves(self.y), strict=True))


def moved_to(layer: Layer, device: str) -> Layer:
    """A clone in float64 on a device."""
    return layer.clone(np.float64, like=to_device(np.zeros(0), device))


def imag(tree: Tree) -> Tree:
    """The derivative that a complex step has left in a tree, on the CPU."""
    return map_tree(lambda leaf: to_device(leaf, "cpu").imag / STEP, tree)


def real(tree: Tree) -> Tree:
    """The real parts, on the CPU."""
    return map_tree(lambda leaf: to_device(leaf, "cpu").real, tree)
