"""Views into the flat vectors, by parameter name: `layer.params["W"]`, `layer.grads["W"]`.

**Zeros that nobody writes.** Gradients are added to, so a step begins with zeros: a pass over memory to write them, and another
to read them when the first gradient is added. After `zero_grads` an array of `grads` only counts as zero. Its zeros are written
when somebody asks for it, and never where the first gradient (`Gradients.add`, which is how layers learn) takes their place.
Whoever asks sees zeros or sums, never what an earlier step has left; but an array that was asked for before a `zero_grads` must
be asked for again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from ..backend import Array, Shape
from ..kernels import combine

Gradient: TypeAlias = Array | Callable[..., Array]  # an array, or f(out=, accumulate=) that computes it where it belongs


class Place(NamedTuple):
    """Where a parameter lies in the flat vectors."""

    start: int
    stop: int
    shape: Shape

    def of(self, vector: Array) -> Array:
        """This parameter's view into a vector like theta."""
        return vector[self.start : self.stop].reshape(self.shape)


class Views(dict[str, Array]):
    """Parameter names -> arrays. Once sealed, an array is written into (`dots["W"] += v`) and never replaced."""

    sealed = False

    @classmethod
    def of(cls, vector: Array, places: dict[str, Place]) -> Views:
        """The views into a vector like theta, sealed."""
        views = cls({name: place.of(vector) for name, place in places.items()})
        views.sealed = True
        return views

    def __setitem__(self, name: str, value: Array) -> None:
        if self.sealed and value is not self.get(name):
            raise TypeError(f"{name!r} is a view into the flat vector: write into it (a[{name!r}][...] = x), do not replace it")
        super().__setitem__(name, value)

    def __missing__(self, name: str) -> Array:
        known = ", ".join(map(repr, self)) or "nothing: lay the layer out first, with layer.initialise(key) or in a Model"
        raise KeyError(f"no array {name!r} here; there is {known}")

    def __deepcopy__(self, memo: dict[int, Any]) -> Views:
        return Views({name: array.copy() for name, array in self.items()})


class Gradients(MutableMapping[str, Array]):
    """`grads` of a node: views into `grad`, of which those in `zero`, a set that the whole vector shares, count as zero.

    A mapping and no dict: `**grads` would read a dict's arrays without asking.
    """

    def __init__(self, views: Views | None = None, places: dict[str, Place] | None = None, zero: set[Place] | None = None):
        self._views = Views() if views is None else views
        self._places = places or {}  # of the same names
        self._zero = set() if zero is None else zero

    def __getitem__(self, name: str) -> Array:
        array, place = self._views[name], self._places[name]
        if place in self._zero:
            array[...] = 0
            self._zero.discard(place)
        return array

    def __setitem__(self, name: str, value: Array) -> None:
        self._views[name] = value  # the end of `grads[name] += g`; any other array is refused

    def __delitem__(self, name: str) -> None:
        raise TypeError(f"{name!r} is a view into the flat vector: it cannot be taken away")

    def __contains__(self, name: object) -> bool:
        return name in self._views

    def __repr__(self) -> str:
        return f"Gradients({', '.join(self)})"

    def __iter__(self) -> Iterator[str]:
        return iter(self._views)

    def __len__(self) -> int:
        return len(self._views)

    def __deepcopy__(self, memo: dict[int, Any]) -> Gradients:
        """A copy of a network is laid out anew, with gradients of its own."""
        return Gradients()

    def add(self, name: str, g: Gradient) -> None:
        """grads[name] += g; where it counts as zero, grads[name] = g."""
        array, place = self._views[name], self._places[name]
        first = place in self._zero
        if callable(g):
            g(out=array, accumulate=not first)
        elif type(array) is not np.ndarray:
            combine.add(*(() if first else (array,)), g, out=array)
        elif first:
            np.positive(g, out=array)  # as strict as the sum below about shape and type
        else:
            array += g
        self._zero.discard(place)

    def zero(self) -> None:
        """All count as zero."""
        self._zero.update(self._places.values())
