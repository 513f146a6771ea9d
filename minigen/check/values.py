"""What every check needs: random values in trees, parameters that are nowhere zero, twins in another type, and snapshots.

A tree is an array, None, or a nested tuple of them (minigen.layers.tree).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ..backend import device_of, to_device
from ..layers.params import Params
from ..layers.tree import Tree, leaves, map_tree
from ..layers.vector import Vector
from ..random import Key

FLOOR = 1e-3  # an error is measured against at least this: what should be zero is compared on the scale of the other numbers


# ---- errors


def rms(x: Any) -> float:
    """The root of the mean square; 0 for nothing."""
    x = to_device(x, "cpu")
    return math.sqrt(float((x.real**2 + x.imag**2).mean())) if x.size else 0.0


def gap(a: Tree, b: Tree, floor: float = FLOOR) -> float:
    """The largest difference of two trees, against the rms of b. Infinite where shapes differ, NaN for NaN."""
    ours, theirs = list(leaves(a)), list(leaves(b))
    if len(ours) != len(theirs):
        return math.inf
    worst = 0.0
    for one, other in zip(ours, theirs, strict=True):
        one, other = to_device(one, "cpu"), to_device(other, "cpu")
        if one.shape != other.shape:
            return math.inf
        if one.size:
            error = float(np.abs(one - other).max()) / max(rms(other), floor)
            worst = error if math.isnan(error) else max(worst, error)
            if math.isnan(worst):
                return worst
    return worst


def inner(a: Tree, b: Tree) -> Any:
    """<a, b>, summed over the leaves that both have; a number stands for the array of it."""
    products: list[Any] = []
    map_tree(lambda one, other: products.append(np.sum(to_device(one, "cpu") * to_device(other, "cpu"))), a, b)
    return sum(products)


# ---- random values


def stir(vector: Vector, key: Key) -> None:
    """Moves every parameter to a random place near its own, so that none is zero and no gradient hides.

    A bias, a gain or another vector moves by N(0, 0.2^2). A weight moves by half of its own size, or by 0.5 / sqrt(fan in)
    where it was zero: its outputs keep their scale, so nothing saturates.
    """
    moved = set()
    for path, place in vector.places.items():
        if place in moved:
            continue
        moved.add(place)
        value = place.of(vector.theta)
        size = 0.2 if value.ndim < 2 else 0.5 * (rms(value) or 1 / math.sqrt(math.prod(value.shape[:-1])))
        by = (size * key.at(path).normal(value.shape, np.float64)).astype(value.real.dtype)
        value += to_device(by, device_of(value))


def normal_like(tree: Tree, key: Key, rows: int = 0) -> Tree:
    """Random numbers in the shape of a tree: None for integers. A bare number (a constant logdet) stands for `rows` numbers."""
    if isinstance(tree, tuple):
        return tuple(normal_like(part, key.at(i), rows) for i, part in enumerate(tree))
    if tree is None:
        return None
    if not hasattr(tree, "dtype") or tree.ndim == 0:
        return key.normal((rows,), np.float64)
    return key.normal(tree.shape, np.float64) if tree.dtype.kind in "fc" else None


def is_array(x: Any) -> bool:
    """Whether x is an array, of whatever library."""
    return isinstance(x, np.ndarray) or (hasattr(x, "dtype") and hasattr(x, "get"))


def to(thing: Any, device: str) -> Any:
    """The arrays in any nesting of tuples, on `device`."""
    if isinstance(thing, tuple):
        parts = [to(part, device) for part in thing]
        return type(thing)(*parts) if hasattr(thing, "_fields") else tuple(parts)
    return to_device(thing, device) if is_array(thing) else thing


def is_shape(x: Any) -> bool:
    """Whether x is a tuple of whole numbers."""
    return isinstance(x, tuple) and all(isinstance(n, int | np.integer) for n in x)


def filled(x: Any, key: Key) -> Tree:
    """Shapes become normal numbers in float64, arrays stay: float arrays in float64, integers as they are."""
    if is_shape(x):
        return key.normal(x, np.float64)
    if isinstance(x, tuple):
        return tuple(filled(part, key.at(i)) for i, part in enumerate(x))
    if not isinstance(x, np.ndarray):
        raise TypeError(f"an input is a shape, an array, or a tuple of those, not {type(x).__name__} {x!r}")
    return x.astype(np.float64) if x.dtype.kind == "f" else x


def cast(thing: Any, dtype: DTypeLike) -> Any:
    """Float arrays in any nesting of tuples, lists, dicts and dataclasses, in another float type; networks as clones."""
    dtype = np.dtype(dtype)
    if is_array(thing):
        return thing.astype(dtype) if thing.dtype.kind == "f" and thing.dtype != dtype else thing
    if isinstance(thing, tuple):
        parts = [cast(part, dtype) for part in thing]
        return type(thing)(*parts) if hasattr(thing, "_fields") else tuple(parts)
    if isinstance(thing, list):
        return [cast(part, dtype) for part in thing]
    if isinstance(thing, dict):
        return {name: cast(part, dtype) for name, part in thing.items()}
    if isinstance(thing, Params):
        first = next((array for _, array in thing.named()), None)
        return thing if first is None or first.dtype == dtype else thing.clone(dtype)
    if dataclasses.is_dataclass(thing) and not isinstance(thing, type):
        return dataclasses.replace(thing, **{f.name: cast(getattr(thing, f.name), dtype) for f in dataclasses.fields(thing)})
    return thing


# ---- snapshots: what was there before, to be compared bit for bit


def snapshot(thing: Any, name: str = "") -> dict[str, Any]:
    """Every array (as bytes) and plain value in a nesting of containers, by path; other objects by identity."""
    seen: dict[str, Any] = {}
    _snap(thing, name, seen, set())
    return seen


def _snap(thing: Any, path: str, seen: dict[str, Any], open_: set[int]) -> None:
    parts: Mapping[Any, Any] | None = None
    if is_array(thing):
        thing = to_device(thing, "cpu")
        seen[path] = (thing.shape, thing.dtype.str, thing.tobytes())
    elif isinstance(thing, tuple) and hasattr(thing, "_asdict"):
        parts = thing._asdict()
    elif isinstance(thing, tuple | list):
        parts = dict(enumerate(thing))
    elif isinstance(thing, dict):
        parts = thing
    elif isinstance(thing, SimpleNamespace):
        parts = vars(thing)
    elif thing is None or isinstance(thing, bool | int | float | complex | str | Key | np.generic):
        seen[path] = thing
    else:
        seen[path] = id(thing)
    if parts is not None and id(thing) not in open_:
        seen[f"{path} size"] = len(parts)
        for name, part in parts.items():
            _snap(part, f"{path}.{name}" if path else str(name), seen, open_ | {id(thing)})


def changed(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """The paths whose value is another one, or is new, or is gone."""

    def differs(path: str) -> bool:
        a, b = before.get(path, _GONE), after.get(path, _GONE)
        return a is not b and not (type(a) is type(b) and (a == b or (a != a and b != b)))

    return [path for path in {**before, **after} if differs(path)]


_GONE = object()


def network_snapshot(net: Params, name: str = "") -> dict[str, Any]:
    """Everything that a network holds but its gradients: parameters, state, and whatever else stands in its attributes."""
    seen: dict[str, Any] = {}
    for path, node in net.walk(name):
        here = {k: v for k, v in vars(node).items() if k not in ("grads", "vector", "specs") and not isinstance(v, Params)}
        seen |= snapshot(here, path or type(node).__name__)
    return seen
