"""Params: a node of the tree of parameters. It owns arrays, knows its children, and commits state."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any, Self

import numpy as np
from numpy.typing import DTypeLike

from ..backend import Array, device_of, to_device
from ..random import Key
from .vector import Spec, Vector
from .views import Gradients, Views


class Params:
    """Named parameters, their gradients and state, and whatever Params stand in its attributes (or in lists of them).

    params, grads, dots   views into `theta`, `grad` and `theta_dot`; grads are added to (views.py: zeros, and the first to add)
    state                 arrays that change in `commit` alone: running means, singular vectors
    version               raised when an optimiser moves these parameters
    learns                False freezes this node: its backward computes no parameter gradients
    """

    state_moves = True  # False: what is in `state` are constants, which no commit moves

    def __init__(self, **specs: Spec) -> None:
        self.specs = specs
        self.params, self.grads, self.dots = Views(), Gradients(), Views()
        self.state: dict[str, Array] = {}
        self.version = 0
        self.learns = True
        self.laid_out = False
        self.vector: Vector | None = None  # of a network that stands by itself; a model's networks share the model's
        self._kept: frozenset[Params] | None = None  # what is below, once laid out

    # ---- the tree

    def children(self) -> Iterator[tuple[str, Params]]:
        """(name, child), in the order in which the attributes were set; an element of a list is "blocks.3"."""
        for name, value in vars(self).items():
            if isinstance(value, Params):
                yield name, value
            elif isinstance(value, list | tuple):
                yield from ((f"{name}.{i}", child) for i, child in enumerate(value) if isinstance(child, Params))
            elif isinstance(value, dict):
                yield from ((f"{name}.{key}", child) for key, child in value.items() if isinstance(child, Params))

    def walk(self, path: str = "") -> Iterator[tuple[str, Params]]:
        """(path, node) of this node and all below it, itself first. A shared child appears once under every path."""
        yield path, self
        for name, child in self.children():
            yield from child.walk(f"{path}.{name}" if path else name)

    @property
    def below(self) -> frozenset[Params]:
        """The nodes that `walk` meets, each once."""
        return frozenset(node for _, node in self.walk()) if self._kept is None else self._kept

    def keep_below(self) -> None:
        """Finds them now, and does not look again: at a layout the tree has its shape, and every backward pass asks."""
        self._kept = None
        self._kept = self.below

    def named(self, path: str = "") -> Iterator[tuple[str, Array]]:
        """(whole path, parameter) of everything below."""
        for where, node in self.walk(path):
            yield from ((f"{where}.{name}" if where else name, array) for name, array in node.params.items())

    # ---- memory

    def initialise(self, key: Key, dtype: DTypeLike = np.float32, *, like: Any = None) -> Self:
        """Lays this network out on a vector of its own, drawing its parameters from `key`; returns itself."""
        self.vector = Vector({"": self}, key, dtype, like=like)
        return self

    def clone(self, dtype: DTypeLike | None = None, *, like: Any = None, theta: Array | None = None) -> Self:
        """A copy with the same values on a vector of its own (`clone.vector`); another dtype or device if asked.

        With `theta`, laid out like a clone's vector, it has those values, and that vector.
        """
        first = next((array for _, array in self.named()), None)
        dtype = dtype if dtype is not None else np.float32 if first is None else first.dtype
        looked_at = (views for node in self.below if node.specs for views in (node.params, node.dots))
        twin = copy.deepcopy(self, {id(views): views for views in looked_at})  # the vector copies what they look at, once
        twin.vector = Vector({"": twin}, None, dtype, like=first if like is None else like, theta=theta)
        return twin

    def begin_state(self, key: Key) -> None:
        """Fills `state` for the first time, when the parameters have their values."""
        self.laid_out = True

    def cast_state(self, dtype: np.dtype[Any], like: Any) -> None:
        """State follows the parameters to another type and device; a statistic stays real in a complex twin."""
        for name, value in self.state.items():
            value = value.real if value.dtype.kind == "c" else value
            value = value.astype(dtype) if value.dtype.kind == "f" else value
            self.state[name] = value if like is None else to_device(value, device_of(like))

    # ---- learning

    def zero_grads(self) -> None:
        """grads = 0, here and below, once somebody asks for them (views.py)."""
        for node in self.below:
            node.grads.zero()

    def freeze(self, frozen: bool = True) -> Self:
        """Nothing below learns (or, with False, learns again); returns itself. Optimisers are made afterwards: the slices they
        ask for leave out what is frozen."""
        for node in self.below:
            node.learns = not frozen
        return self

    @property
    def can_learn(self) -> bool:
        """Whether any parameter below would receive a gradient."""
        return any(node.learns and node.specs for node in self.below)

    @property
    def tree_version(self) -> int:
        """The sum of the versions below: equal if and only if no optimiser has moved anything there."""
        return sum(node.version for node in self.below)

    def commit(self, cache: Any) -> None:
        """The only place where state changes: takes the cache of a forward pass and moves state on. Here nothing moves."""
