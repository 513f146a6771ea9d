"""Composite: a layer made of layers, whose wiring is written twice, there and back. Everything else follows from the two.

    class TwoHeads(Composite):
        def wire(self, f, x):                 # f.trunk(x) calls the sub-layer and keeps its cache
            h = f.trunk(x)
            return f.mu(h), f.logvar(h)

        def unwire(self, b, dy):              # b.mu(dmu) is that call's backward; the calls come back latest first
            dmu, dlogvar = dy
            return b.trunk(add(b.logvar(dlogvar), b.mu(dmu)), need_dx=b.need_dx)

Between the calls the wiring is linear: sums (`add` of wiring.py, or +), differences, multiples, tuples. So the tangent of
`wire` is `wire` itself with every sub-layer's jvp in place of its forward, and that of `unwire` is `unwire` on pairs (value,
tangent).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..backend import number
from ..random import Key
from .layer import Cache, Layer
from .params import Params
from .tree import Tree, leaves, map_tree
from .vector import Spec
from .wiring import Back, Calls, There, add, pair_up, unpair


class Composite(Layer):
    """Sub-layers in attributes (or lists), and two bodies: `wire` there, `unwire` back. It has no parameters of its own."""

    takes_still = True

    def __init__(self, **specs: Spec) -> None:
        if specs:
            raise TypeError(
                f"{type(self).__name__}: a composite has no parameters of its own: give {', '.join(specs)} to a layer"
            )
        super().__init__()

    def wire(self, f: Any, x: Tree) -> Tree:
        """y, calling sub-layers as `f.name(x)`, with nothing but linear wiring between the calls."""
        raise NotImplementedError(f"{type(self).__name__}.wire is not written")

    def unwire(self, b: Any, dy: Tree) -> Tree:
        """dx, the mirror image: `b.name(dy)`, latest call first, sums where wire branches and branches where wire sums."""
        raise NotImplementedError(f"{type(self).__name__}.unwire is not written")

    def sub(self, name: str) -> Any:
        """The sub-layer called `name` ("act", "blocks.3")."""
        node: Any = self
        for part in name.split("."):
            try:
                node = node[part] if isinstance(node, dict) else node[int(part)] if part.isdigit() else getattr(node, part)
            except (AttributeError, IndexError, KeyError):
                names = ", ".join(child for child, _ in self.children())
                raise AttributeError(f"{type(self).__name__} has no sub-layer {name!r}; it has {names}") from None
        if not isinstance(node, Params):
            raise AttributeError(f"{type(self).__name__}.{name} is a {type(node).__name__}, not a layer")
        return node

    def forward(self, x: Tree, *, train: bool = False, key: Key | None = None) -> tuple[Tree, Calls]:
        there = There(lambda name, x, call: self._call(name, x, call, train, key))
        return self.wire(there, x), there._kept

    def _call(self, name: str, x: Tree, call: int, train: bool, key: Key | None) -> tuple[Tree, Cache]:
        layer = self.sub(name)
        y, cache = layer.forward(x, train=train, key=None if key is None else key.at(name, call))
        if _watching:
            _check_finite(layer, y)
        return y, cache

    def backward(self, dy: Tree, cache: Calls, *, need_dx: bool = True, param_grads: bool = True) -> Tree:
        if not need_dx and not (param_grads and self.can_learn):
            return None

        def run(name: str, dy: Tree, call: int, need: bool) -> Tree:
            layer = self.sub(name)
            if not need and not (param_grads and layer.can_learn):
                return None
            return layer.backward(dy, cache[name][call], need_dx=need, param_grads=param_grads)

        dx = Back(run, cache, need_dx, type(self).__name__)._walk(self.unwire, dy)
        return dx if need_dx else None

    def jvp(self, x_dot: Tree, cache: Calls, *, move_params: bool = False) -> tuple[Tree, Calls]:
        def run(name: str, x_dot: Tree, call: int) -> tuple[Tree, Cache]:
            moved: tuple[Tree, Cache] = self.sub(name).jvp(x_dot, cache[name][call], move_params=move_params)
            return moved

        there = There(run)
        return self.wire(there, x_dot), there._kept

    def backward_jvp(
        self, dy: Tree, dy_dot: Tree, cache: Calls, tangents: Calls, *, need_dx: bool = True, param_grads: bool = True
    ) -> tuple[Tree, Tree]:
        if not need_dx and not (param_grads and self.can_learn):
            return None, None

        def run(name: str, pairs: Tree, call: int, need: bool) -> Tree:
            layer = self.sub(name)
            if not need and not (param_grads and layer.can_learn):
                return None
            dy, dy_dot = unpair(pairs)
            at = cache[name][call], tangents[name][call]
            return pair_up(*layer.backward_jvp(dy, layer.told(dy, dy_dot), *at, need_dx=need, param_grads=param_grads))

        dx = Back(run, cache, need_dx, type(self).__name__)._walk(self.unwire, pair_up(dy, dy_dot))
        return unpair(dx) if need_dx else (None, None)

    def commit(self, cache: Calls) -> None:
        for name, caches in cache.items():
            for one in caches:
                self.sub(name).commit(one)

    def data_init(self, x: Tree, key: Key) -> Tree:
        there = There(lambda name, x, call: (self.sub(name).data_init(x, key.at(name, call)), None))
        return self.wire(there, x)

    # ---- streaming follows the wiring too: a memory for every call

    def stream(self, batch: int, width: int | None = None) -> dict[Any, Any]:
        return {"at": (batch, width)}

    def advance(self, x_t: Tree, memory: dict[Any, Any]) -> Tree:
        def run(name: str, x_t: Tree, call: int) -> tuple[Tree, Cache]:
            layer = self.sub(name)
            if (name, call) not in memory:
                memory[name, call] = layer.stream(*memory["at"])
            return layer.advance(x_t, memory[name, call]), None

        return self.wire(There(run), x_t)


# ---- finding the layer behind a NaN


class NotFiniteError(FloatingPointError):
    """A layer put out a NaN or an infinity. `layer` is the innermost one that did."""

    def __init__(self, layer: Layer) -> None:
        super().__init__(f"{type(layer).__name__} put out a value that is not finite")
        self.layer = layer


_watching = False


@contextmanager
def watch() -> Iterator[None]:
    """Within it, every sub-layer's output is checked, and the first that is not finite raises NotFiniteError."""
    global _watching
    before, _watching = _watching, True
    try:
        yield
    finally:
        _watching = before


def _check_finite(layer: Layer, y: Tree) -> None:
    if not all(number(np.isfinite(leaf).all()) for leaf in leaves(y)):
        raise NotFiniteError(layer)


# ---- the two composites that everyone needs


class Sequential(Composite):
    """y = f_n(... f_2(f_1(x))). Layers by position (called "0", "1", ...) or by name, positions first."""

    def __init__(self, *layers: Layer, **named: Layer) -> None:
        super().__init__()
        self.layers = {**{str(i): layer for i, layer in enumerate(layers)}, **named}

    def children(self) -> Iterator[tuple[str, Params]]:
        yield from self.layers.items()

    def sub(self, name: str) -> Any:
        return self.layers[name]

    def __getitem__(self, name: str | int) -> Layer:
        return self.layers[str(name)] if isinstance(name, str) or name >= 0 else list(self.layers.values())[name]

    def __len__(self) -> int:
        return len(self.layers)

    def wire(self, f: Any, x: Tree) -> Tree:
        for name in self.layers:
            x = f[name](x)
        return x

    def unwire(self, b: Any, dy: Tree) -> Tree:
        for name, someone_asks in reversed(self.who_asks(b.need_dx)):
            dy = b[name](dy, need_dx=someone_asks)
        return dy

    def who_asks(self, need_dx: bool) -> list[tuple[str, bool]]:
        """(layer, whether anybody before it asks for its dx), in order."""
        asked = []
        for name, layer in self.layers.items():
            asked.append((name, need_dx))
            need_dx = need_dx or layer.can_learn
        return asked


class Residual(Composite):
    """y = x + f(x)."""

    def __init__(self, f: Layer) -> None:
        super().__init__()
        self.f = f

    def wire(self, f: Any, x: Tree) -> Tree:
        return map_tree(add, x, f.f(x))

    def unwire(self, b: Any, dy: Tree) -> Tree:
        dx = b.f(dy, need_dx=b.need_dx)
        return map_tree(add, dy, dx) if b.need_dx else None
