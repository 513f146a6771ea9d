"""The wires of a composite: what stands behind `f.name(x)` in its `wire` and `b.name(dy)` in its `unwire`.

`There` runs sub-layers and keeps what they leave; `Back` goes back through the calls, latest first; a `Pair` is a gradient with
its tangent on that way. Which pass of a sub-layer is run, the composite says (see composite.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..kernels import combine
from .layer import Cache
from .tree import NOTHING, Nothing, Tree, leaves, replace


class Calls(dict[str, tuple[Cache, ...]]):
    """The cache of a composite: for every sub-layer the caches of its calls, in order."""

    def __getattr__(self, name: str) -> tuple[Cache, ...]:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


@dataclass(frozen=True, slots=True)
class Pair:
    """An array and its tangent, on their way back through linear wiring: sums (NOTHING and 0 left out), multiples, parts."""

    value: Any
    dot: Any

    def __add__(self, other: Pair | Nothing | int) -> Pair:
        return add(self, other)

    __radd__ = __add__

    def __sub__(self, other: Pair | Nothing | int) -> Pair:
        return add(self, -other)

    def __rsub__(self, other: Nothing | int) -> Pair:
        return add(-self, other)

    def __mul__(self, constant: Any) -> Pair:
        return Pair(self.value * constant, self.dot * constant)

    __rmul__ = __mul__

    def __truediv__(self, constant: Any) -> Pair:
        return Pair(self.value / constant, self.dot / constant)

    def __neg__(self) -> Pair:
        return Pair(-self.value, -self.dot)

    def __getitem__(self, part: Any) -> Pair:
        return Pair(self.value[part], self.dot[part])


def add(*terms: Any) -> Any:
    """The sum of what goes through the wires, arrays or pairs, in one pass over memory: `add(f.two(h), f.skip(x))`.

    NOTHING and 0 are left out; what is alone stays itself. `+` means the same, and on a GPU is a kernel of the array library's.
    """
    there = [term for term in terms if term is not NOTHING and not (isinstance(term, int) and term == 0)]
    if len(there) < 2:
        return (there or terms)[0]
    pairs = [term for term in there if isinstance(term, Pair)]
    if not pairs:
        return combine.add(*there)
    if len(pairs) < len(there):  # a constant is not linear, and its tangent would be lost
        other = next(term for term in there if not isinstance(term, Pair))
        raise TypeError(f"unwire adds a {type(other).__name__} to a gradient: between its calls there is linear wiring alone")
    return Pair(add(*(pair.value for pair in pairs)), add(*(pair.dot for pair in pairs)))


def pair_up(value: Tree, dot: Tree) -> Tree:
    """Two trees -> one tree of pairs. A gradient whose `dot` is None stands still: its tangent is NOTHING."""
    if isinstance(value, tuple):
        dots = (None,) * len(value) if dot is None else dot
        return tuple(map(pair_up, value, dots))
    return None if value is None else Pair(value, NOTHING if dot is None else dot)


def unpair(pairs: Tree) -> tuple[Tree, Tree]:
    """One tree of pairs -> two trees, with None for the tangent of what stands still."""
    if isinstance(pairs, tuple):
        parts = [unpair(part) for part in pairs]
        return tuple(value for value, _ in parts), tuple(dot for _, dot in parts)
    return (None, None) if pairs is None else (pairs.value, None if pairs.dot is NOTHING else pairs.dot)


class _Callable:
    """`f.blocks[3](x)`: a name that is called, or indexed until it is one."""

    def __init__(self, call: Callable[..., Tree], name: str) -> None:
        self._call, self._name = call, name

    def __call__(self, x: Tree, **options: bool) -> Tree:
        return self._call(self._name, x, **options)

    def __getitem__(self, i: int | str) -> _Callable:
        return _Callable(self._call, f"{self._name}.{i}")


class _Names:
    """`f.name` and `f["name"]`."""

    def __getattr__(self, name: str) -> _Callable:
        return _Callable(self._run, name)

    __getitem__ = __getattr__

    def _run(self, name: str, x: Tree) -> Tree:
        raise NotImplementedError


class There(_Names):
    """The way there: runs a sub-layer and keeps what it leaves, one entry a call."""

    def __init__(self, run: Callable[[str, Tree, int], tuple[Tree, Cache]]) -> None:
        self._run_one, self._kept = run, Calls()

    def _run(self, name: str, x: Tree) -> Tree:
        before = self._kept.get(name, ())
        y, cache = self._run_one(name, x, len(before))
        self._kept[name] = (*before, cache)
        return y


class Back(_Names):
    """The way back: the calls of a sub-layer return latest first. `need_dx` says whether anybody asks for dx.

    A gradient that is not there, of an output that nobody used or an input that nobody asks about, is NOTHING on the way, and a
    call that would carry nothing else back is not made.
    """

    def __init__(self, run: Callable[[str, Tree, int, bool], Tree], cache: Calls, need_dx: bool, owner: str) -> None:
        self._run_one, self.need_dx, self._owner = run, need_dx, owner
        self._left = {name: len(calls) for name, calls in cache.items()}

    def _run(self, name: str, dy: Tree, *, need_dx: bool = True) -> Tree:
        if not self._left.get(name):
            raise RuntimeError(f"{self._owner}.unwire goes back through {name!r} more often than wire went there")
        self._left[name] -= 1
        if isinstance(dy, tuple):
            dy = replace(dy, NOTHING, None)
            if next(leaves(dy), None) is None:
                return NOTHING
        elif dy is NOTHING or dy is None:
            return NOTHING
        dx = self._run_one(name, dy, self._left[name], need_dx)
        return replace(dx, None, NOTHING)

    def _walk(self, unwire: Callable[[Any, Tree], Tree], dy: Tree) -> Tree:
        dx = unwire(self, replace(dy, None, NOTHING))
        forgotten = [name for name, left in self._left.items() if left]
        if forgotten:
            raise RuntimeError(
                f"{self._owner}.unwire does not go back through {', '.join(forgotten)}: a gradient would be lost"
            )
        return replace(dx, NOTHING, None)
