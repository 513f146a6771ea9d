"""One flat vector: every parameter of a model is a view into `theta`, every gradient a view into `grad`.

An update is then one kernel over a slice, the global norm one dot product, averaging one line, a sum over machines one call.
Each array starts on a 64-byte boundary, at the same offset in every dtype: vectors of a model and of its twins can be added.
Tied parameters (two layers that hold the same `Spec`) are laid once.

    theta   [ encoder.hidden.W ........ | encoder.hidden.b .. | decoder.hidden.W .... ]
              span of "encoder": slice(0, 4160)                 span of "decoder": slice(4160, ...)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import DTypeLike

from ..backend import ALIGNMENT, Array, Shape, aligned_zeros, device_of, real_dtype, resident, to_device
from ..kernels.combine import copy
from ..random import Key
from .views import Gradients, Place, Views

if TYPE_CHECKING:
    from .params import Params

Initialiser = Callable[[Key, Shape], Array]

STEP = ALIGNMENT // np.dtype(np.float32).itemsize  # every array starts at a multiple of this many numbers


class Spec:
    """A parameter before it has memory: its shape and how its first value is drawn. The same Spec twice is a tied parameter."""

    def __init__(self, shape: Shape, initialiser: Initialiser) -> None:
        self.shape, self.initialiser = shape, initialiser

    def __repr__(self) -> str:
        return f"Spec{self.shape}"


class Vector:
    """`theta`, `grad` and, where something moves, `theta_dot`, with the place of every parameter in them."""

    def __init__(
        self,
        roots: Mapping[str, Params],
        key: Key | None,
        dtype: DTypeLike = np.float32,
        *,
        like: Any = None,
        theta: Array | None = None,
    ):
        """Lays out the parameters of `roots`: existing values are kept, others drawn from `key` at the parameter's path.

        With `theta`, a vector of this layout, the values are those, and it is the vector from now on. Raises ValueError where
        it has another size or dtype.
        """
        self.dtype = np.dtype(dtype)
        self.places: dict[str, Place] = {}
        self.nodes: list[tuple[Place, Params, str]] = []  # (place, owner, name) of every parameter, ties once an owner
        fresh = self._find_places(roots)

        self._theta = aligned_zeros(self._size, dtype, like=like) if theta is None else self._fitting(theta)
        self._grad = aligned_zeros(self._size, dtype, like=like)
        self._zero: set[Place] = set()  # what of grad counts as zero and is not written yet (views.py)
        self._gaps = _gaps(frozenset(place.stop for place in self.places.values()))
        self._gaps_shown = False  # to somebody who may write into them: until then they are the zeros that they were made as
        self._theta_dot: Array | None = None
        self._like = like
        filled: set[Place] = set(self.places.values()) if theta is not None else set()
        for path, (place, node, name) in zip(self._paths, self.nodes, strict=True):
            if place not in filled:
                value = to_device(self._first_value(node, name, path, key), device_of(self.theta))
                copy(value, place.of(self.theta))
                filled.add(place)
        for node, own in self._owners():
            node.params = Views.of(self._theta, own)
            node.grads = Gradients(Views.of(self._grad, own), own, self._zero)
            node.dots = Views()  # a copy of a network brings no direction along
        for path, node in fresh:
            node.begin_state((key or Key(0)).at(path, "state"))
        for _, node in _unique(roots):
            node.cast_state(real_dtype(dtype), like)
            node.keep_below()

    def _find_places(self, roots: Mapping[str, Params]) -> list[tuple[str, Params]]:
        """Gives every Spec its place, by identity. Returns the nodes that have no values yet, with their paths."""
        laid: dict[int, Place] = {}
        fresh, size, self._paths = [], 0, []
        seen: set[int] = set()
        for root, net in roots.items():
            for path, node in net.walk(root):
                for name, spec in node.specs.items():
                    if id(spec) not in laid:
                        count = int(np.prod(spec.shape, dtype=np.int64))
                        laid[id(spec)] = Place(size, size + count, spec.shape)
                        size += _padded(count)
                    self.places[f"{path}.{name}" if path else name] = laid[id(spec)]
                if id(node) in seen:
                    continue
                seen.add(id(node))
                if not node.laid_out:
                    fresh.append((path, node))
                for name, spec in node.specs.items():
                    self.nodes.append((laid[id(spec)], node, name))
                    self._paths.append(f"{path}.{name}" if path else name)
        self._size = size
        return fresh

    def _fitting(self, theta: Array) -> Array:
        if theta.shape != (self._size,) or theta.dtype != self.dtype:
            raise ValueError(
                f"this network's vector is ({self._size},) {self.dtype}, got {theta.shape} {theta.dtype}: "
                f"take one that lies as clone().vector.theta does"
            )
        return theta

    @staticmethod
    def _first_value(node: Params, name: str, path: str, key: Key | None) -> Array:
        if node.laid_out:
            return node.params[name]
        if key is None:
            raise ValueError(f"{path} has no value yet: a key is needed to draw it")
        spec = node.specs[name]
        return spec.initialiser(key.at(path), spec.shape)

    def _owners(self) -> Iterator[tuple[Params, dict[str, Place]]]:
        """Every node that has parameters, with their places by name."""
        owners: dict[int, tuple[Params, dict[str, Place]]] = {}
        for place, node, name in self.nodes:
            owners.setdefault(id(node), (node, {}))[1][name] = place
        yield from owners.values()

    @property
    def theta(self) -> Array:
        """Every parameter, flat. `theta += v` moves them all, so caches made before are stale."""
        return self._theta

    @theta.setter
    def theta(self, value: Array) -> None:
        _same("theta", self._theta, value)
        self.raised([slice(0, self._size)])

    @property
    def grad(self) -> Array:
        """Every gradient, flat, in the order of theta. After a `zero_grads`, which writes no zeros yet, ask again."""
        self._gaps_shown = True
        self.filled(slice(0, self._size))
        return self._grad

    @grad.setter
    def grad(self, value: Array) -> None:
        _same("grad", self._grad, value)

    def zero_grads(self) -> None:
        """grad = 0, once somebody asks for it."""
        self._empty_gaps()
        self._zero.update(self.places.values())

    def filled(self, span: slice) -> Array:
        """`grad[span]`, for an optimiser, which keeps what lies between the arrays zero. Others still count as zero."""
        for place in [place for place in self._zero if span.start <= place.start < span.stop]:
            place.of(self._grad)[...] = 0
            self._zero.discard(place)
        return self._grad[span]

    def write_zeros(self) -> None:
        """Writes what counts as zero and was not asked for yet, and the zeros between the arrays: a graph does neither."""
        self._empty_gaps()
        self.filled(slice(0, self._size))

    def _empty_gaps(self) -> None:
        if self._gaps_shown:
            self._grad[resident(self._gaps, self._grad)] = 0
            self._gaps_shown = False

    @property
    def theta_dot(self) -> Array:
        """The direction in which `jvp(..., move_params=True)` moves the parameters; made, as zeros, when first asked for."""
        if self._theta_dot is None:
            self._look_into(aligned_zeros(self._size, self.dtype, like=self._like))
        return cast("Array", self._theta_dot)

    @theta_dot.setter
    def theta_dot(self, value: Array) -> None:
        """The first is taken as it is, where nobody has asked for zeros yet."""
        if self._theta_dot is None:
            self._look_into(self._fitting(value))
        _same("theta_dot", self.theta_dot, value)

    def _look_into(self, theta_dot: Array) -> None:
        self._theta_dot = theta_dot
        for node, own in self._owners():
            node.dots = Views.of(theta_dot, own)

    @property
    def size(self) -> int:
        """The number of parameters, tied ones once, padding left out."""
        return sum(place.stop - place.start for place in set(self.places.values()))

    def views(self, vector: Array) -> dict[str, Array]:
        """A vector like theta as arrays by path."""
        return {path: place.of(vector) for path, place in self.places.items()}

    def spans(self, *prefixes: str) -> list[slice]:
        """The slices of theta that hold the parameters under these paths ("" is all), neighbours merged, ties once.

        What is frozen is left out: no decay and no momentum moves it either. So freeze first, then make optimisers. Raises
        KeyError on a path that does not exist, ValueError where everything is frozen.
        """
        learning = {place for place, node, _ in self.nodes if node.learns}
        hits: set[Place] = set()
        for prefix in prefixes:
            found = {p for path, p in self.places.items() if not prefix or path == prefix or path.startswith(prefix + ".")}
            if prefix and not found:
                raise KeyError(f"no parameter under {prefix!r}; there is {', '.join(self.places)}")
            hits |= found & learning
        if prefixes and self.places and not hits:
            raise ValueError(f"everything under {', '.join(map(repr, prefixes))} is frozen: nothing there can be trained")
        merged: list[slice] = []
        for start, stop, _ in sorted(hits):
            if merged and _padded(merged[-1].stop) == start:
                merged[-1] = slice(merged[-1].start, stop)
            else:
                merged.append(slice(start, stop))
        return merged

    def raised(self, spans: Iterable[slice]) -> None:
        """An optimiser tells which slices it has moved: caches made before are stale from now on."""
        spans = list(spans)
        moved = {
            id(node): node
            for place, node, _ in self.nodes
            if any(place.start < span.stop and span.start < place.stop for span in spans)
        }
        for node in moved.values():
            node.version += 1

    def __deepcopy__(self, memo: dict[int, Any]) -> None:
        """A copy of a network is laid out anew, on a vector of its own: the old vector does not travel."""


def _same(name: str, vector: Array, value: Array) -> None:
    """`vector += v` ends in an assignment of the vector to itself, and no other is allowed."""
    if value is not vector:
        raise TypeError(f"every layer looks into {name}: write into it ({name}[...] = x, {name} += x), do not replace it")


def _padded(count: int) -> int:
    """The next multiple of STEP."""
    return -(-count // STEP) * STEP


@lru_cache(maxsize=256)
def _gaps(stops: frozenset[int]) -> Array:
    """Where nothing lies, between arrays that end at `stops`. One array for all vectors of a layout: it is on a device once."""
    return np.concatenate([np.arange(0), *(np.arange(stop, _padded(stop)) for stop in sorted(stops))])


def check_disjoint(spans: Iterable[slice], what: str = "these spans") -> None:
    """Raises ValueError where two slices share an element: it would be updated twice."""
    ordered = sorted(spans, key=lambda span: span.start)
    for one, two in pairwise(ordered):
        if two.start < one.stop:
            raise ValueError(f"{what} overlap: [{one.start}:{one.stop}] and [{two.start}:{two.stop}] would be updated twice")


def _unique(roots: Mapping[str, Params]) -> Iterator[tuple[str, Params]]:
    seen: set[int] = set()
    for root, net in roots.items():
        for path, node in net.walk(root):
            if id(node) not in seen:
                seen.add(id(node))
                yield path, node
