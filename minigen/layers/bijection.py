"""Bijections and their chains: layers that can be inverted, and that say how they change volume.

y is (z, logdet): z = f(x) and logdet = log |det df/dx|, one number a row, (N,), or the constant 0.
By the change of variables, log p(x) = log p(z) + logdet.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from ..random import Key
from .composite import Composite, Sequential
from .layer import Cache, Layer, StaleCacheError
from .params import Params
from .tree import Tree
from .wiring import There, add


class Bijection(Layer):
    """A layer whose y is (z, logdet), with an inverse."""

    def inverse(self, z: Tree) -> tuple[Tree, Any]:
        """x and log |det dx/dz|, which is minus the logdet of forward at x."""
        raise NotImplementedError(f"{type(self).__name__}.inverse is not written")


class ReversedCache(NamedTuple):
    z: Tree  # the chain's output: x comes back from it
    train: bool
    version: int


class NoNoise:
    """Stands where a key is expected, and refuses to draw: an inverse would not know what was drawn."""

    def at(self, *path: str | int) -> NoNoise:
        return self

    def __getattr__(self, name: str) -> Any:
        raise TypeError(
            "Chain(store=False): a layer in it draws noise, which its inverse would not know: the gradient would be that of "
            "another function. Use store=True"
        )


class Chain(Composite, Bijection):
    """z = f_n(... f_1(x)), logdet the sum: what Sequential is to layers, this is to bijections.

    With `store=False` no activation is kept: the cache is the output, and backward walks the chain from its end, inverting one
    bijection, running it forward, then backward. Memory no longer grows with depth; the price is one more pass, and that x is
    recovered to rounding. Such a chain refuses state that moves, which is read too late, and noise, which no inverse has.
    """

    def __init__(self, *bijections: Bijection, store: bool = True) -> None:
        super().__init__()
        for i, f in enumerate(bijections):
            if not isinstance(f, Bijection):
                raise TypeError(f"Chain: element {i}, {type(f).__name__}, is not a Bijection: it has no inverse")
        self.bijections, self.store = Sequential(*bijections), store

    def children(self) -> Iterator[tuple[str, Params]]:
        yield from self.bijections.children()

    def sub(self, name: str) -> Any:
        return self.bijections.sub(name)

    def wire(self, f: Any, x: Tree) -> tuple[Tree, Any]:
        logdets = []
        for name in self.bijections.layers:
            x, logdet = f[name](x)
            logdets.append(logdet)
        return x, add(0, *logdets)

    def unwire(self, b: Any, dy: tuple[Tree, Any]) -> Tree:
        dz, dlogdet = dy
        names, layers = list(self.bijections.layers), list(self.bijections.layers.values())
        for i in reversed(range(len(names))):
            dz = b[names[i]]((dz, dlogdet), need_dx=b.need_dx or any(layer.can_learn for layer in layers[:i]))
        return dz

    def inverse(self, z: Tree) -> tuple[Tree, Any]:
        logdets = []
        for f in reversed(self.bijections.layers.values()):
            z, logdet = f.inverse(z)  # type: ignore[attr-defined]
            logdets.append(logdet)
        return z, add(0, *logdets)

    # ---- without stored activations

    def forward(self, x: Tree, *, train: bool = False, key: Key | None = None) -> tuple[Tree, Any]:
        if self.store:
            return super().forward(x, train=train, key=key)
        self._refuse_state()
        no_noise: Any = None if key is None else NoNoise()
        forget = There(lambda name, x, call: (self._call(name, x, call, train, no_noise)[0], None))  # one cache lives at a time
        z, logdet = self.wire(forget, x)
        return (z, logdet), ReversedCache(z, train, self.tree_version)

    def backward(self, dy: Tree, cache: Cache, *, need_dx: bool = True, param_grads: bool = True) -> Tree:
        if not isinstance(cache, ReversedCache):
            return super().backward(dy, cache, need_dx=need_dx, param_grads=param_grads)
        self._check_fresh(cache)
        (dz, dlogdet), z = dy, cache.z
        layers = list(self.bijections.layers.items())
        for i in reversed(range(len(layers))):
            f = layers[i][1]
            need = need_dx or any(layer.can_learn for _, layer in layers[:i])
            if not need and not (param_grads and f.can_learn):
                return None
            x, _ = f.inverse(z)  # type: ignore[attr-defined]
            _, one = f.forward(x, train=cache.train)
            dz, z = f.backward((dz, dlogdet), one, need_dx=need, param_grads=param_grads), x
        return dz

    def jvp(self, x_dot: Tree, cache: Cache, *, move_params: bool = False) -> tuple[Tree, Any]:
        if not isinstance(cache, ReversedCache):
            return super().jvp(x_dot, cache, move_params=move_params)
        stored = self._recompute(cache)
        y_dot, tangents = super().jvp(x_dot, stored, move_params=move_params)
        return y_dot, (stored, tangents)

    def backward_jvp(
        self, dy: Tree, dy_dot: Tree, cache: Cache, tangents: Cache, *, need_dx: bool = True, param_grads: bool = True
    ) -> tuple[Tree, Tree]:
        stored, moved = tangents if isinstance(cache, ReversedCache) else (cache, tangents)
        return super().backward_jvp(dy, dy_dot, stored, moved, need_dx=need_dx, param_grads=param_grads)

    def commit(self, cache: Cache) -> None:
        if not isinstance(cache, ReversedCache):  # a chain that stores nothing has no state to move
            super().commit(cache)

    def _recompute(self, cache: ReversedCache) -> Any:
        """Second order wants every cache at once: one inverse, one forward."""
        self._check_fresh(cache)
        x, _ = self.inverse(cache.z)
        return super().forward(x, train=cache.train)[1]

    def _check_fresh(self, cache: ReversedCache) -> None:
        if cache.version != self.tree_version:
            raise StaleCacheError(
                "Chain(store=False): the parameters have moved since this forward, and its activations cannot be recomputed. "
                "Run forward again after an optimiser's step"
            )

    def _refuse_state(self) -> None:
        for path, node in self.walk():
            if node.state and node.state_moves:
                raise TypeError(
                    f"Chain(store=False): {path} ({type(node).__name__}) has state, which would be read after it had moved. "
                    "Use store=True"
                )
