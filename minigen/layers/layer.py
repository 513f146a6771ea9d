"""The layer protocol: forward, backward, and the two passes of second order.

    forward       y = f(x)                                                     and a cache: all that the other three need
    backward      dx = J' dy, grads += (df/dtheta)' dy                          J is df/dx at the cached point
    jvp           y_dot = J x_dot (+ df/dtheta theta_dot)                       and tangents: d/dt of what the cache holds
    backward_jvp  dx, dx_dot = d/dt (J' dy); grads += d/dt of backward's grads  while x, theta and dy all move with t

The last is Pearlmutter's R-operator (1994, "Fast exact multiplication by the Hessian"): the product rule, applied to each line
of backward. From it come gradient penalties, unrolled optimisation and Hessian-vector products, with no second graph.

Letters: x, y inputs and outputs; d + name a gradient; name + _dot a tangent; w the effective weights of a call.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, Self, TypeAlias

from ..backend import Array
from ..random import Key
from .params import Params
from .tree import Tree, leaves, moving
from .vector import Spec
from .views import Gradient

Cache: TypeAlias = Any


class StaleCacheError(RuntimeError):
    """A cache was used after an optimiser had moved the parameters it was made with."""


class Weights(SimpleNamespace):
    """The effective arrays of one call, by name (`w.W`, `w.b`), with the version and the computed weights' caches."""

    version: int
    computed: dict[str, Cache]


class Layer(Params):
    """A function with hand-written derivatives. Nothing about a call is kept on `self`: it goes into the cache."""

    mixes_batch = False  # True: row n of y depends on other rows of x
    streams = False  # True: y at a position depends on x at that position alone
    takes_still = False  # True: to backward_jvp, dy_dot=None is a dy_dot of zero, and it may answer None for a dx_dot of zero

    def __init__(self, **specs: Spec) -> None:
        super().__init__(**specs)
        self.computed: dict[str, Layer] = {}  # parameter name -> the layer that computes the effective weight from it

    def forward(self, x: Tree, *, train: bool = False, key: Key | None = None) -> tuple[Tree, Cache]:
        """y and the cache. Changes nothing. A layer that draws noise draws it from `key`."""
        raise NotImplementedError(f"{type(self).__name__}.forward is not written")

    def backward(self, dy: Tree, cache: Cache, *, need_dx: bool = True, param_grads: bool = True) -> Tree:
        """dx, with the structure of x. Its only effect is `grads +=`, and not even that with param_grads=False."""
        raise NotImplementedError(f"{type(self).__name__}.backward is not written")

    def jvp(self, x_dot: Tree, cache: Cache, *, move_params: bool = False) -> tuple[Tree, Cache]:
        """y_dot and the tangents, of the cache's class. With move_params the parameters move along `dots`."""
        raise NotImplementedError(f"{type(self).__name__}.jvp is not written: no second order through this layer")

    def backward_jvp(
        self, dy: Tree, dy_dot: Tree, cache: Cache, tangents: Cache, *, need_dx: bool = True, param_grads: bool = True
    ) -> tuple[Tree, Tree]:
        """dx and dx_dot. grads += the derivative of what backward would have added.

        A gradient penalty asks with a dy that stands still. Products with a zero would be half of its work: a layer that
        `takes_still` is then given dy_dot=None and leaves them out; the others are given zeros.
        """
        raise NotImplementedError(f"{type(self).__name__}.backward_jvp is not written: no second order through this layer")

    def told(self, dy: Tree, dy_dot: Tree) -> Tree:
        """dy_dot as backward_jvp takes it: where all of dy stands still, None, or zeros for a layer that knows no None."""
        still = next(leaves(dy_dot), None) is None
        return None if still and self.takes_still else moving(dy, dy_dot)

    # ---- weights: the parameters, or what is computed from them

    def compute(self, name: str, hook: Layer) -> Self:
        """From now on the effective weight `name` is `hook(params[name])`; returns itself. Done before the layout."""
        if name not in self.specs:
            raise KeyError(f"{type(self).__name__} has no parameter {name!r}; it has {', '.join(self.specs)}")
        if self.laid_out:
            raise RuntimeError(f"{type(self).__name__} is laid out already: compute its weights before initialise")
        self.computed[name] = hook
        return self

    def begin_state(self, key: Key) -> None:
        super().begin_state(key)
        for name, hook in self.computed.items():
            hook.begin_weight(self.params[name], key.at(name))

    def begin_weight(self, W: Array, key: Key) -> None:
        """As a computed weight: fills `state` for the first time from the parameter it is computed from."""

    def weights(self, cache: Cache = None) -> Weights:
        """In forward: the effective arrays. With a cache: those it was made with, or StaleCacheError."""
        version = self.version + sum(hook.tree_version for hook in self.computed.values())
        if cache is not None:
            made: Weights = cache.w
            if made.version != version:
                raise StaleCacheError(
                    f"{type(self).__name__}: this cache was made with parameters of version {made.version}, and they are at "
                    f"version {version} now. Run forward again after an optimiser's step"
                )
            return made
        w = Weights(version=version, computed={}, **self.params)
        for name, hook in self.computed.items():
            effective, w.computed[name] = hook.forward(self.params[name])
            setattr(w, name, effective)
        return w

    def weights_dot(self, w: Weights, move_params: bool) -> Weights | None:
        """The tangents of the effective arrays; None where the parameters stand still."""
        if not move_params:
            return None
        if self.params and not self.dots:
            raise RuntimeError(
                f"{type(self).__name__}: move_params=True, but no direction is set: fill vector.theta_dot before jvp"
            )
        w_dot = Weights(version=w.version, computed={}, **{name: self.dots[name] for name in self.params})
        for name, hook in self.computed.items():
            moved, w_dot.computed[name] = hook.jvp(self.dots[name], w.computed[name], move_params=True)
            setattr(w_dot, name, moved)
        return w_dot

    def learn(self, w: Weights, **gradients: Gradient) -> None:
        """grads += the gradients of the effective arrays, carried back to the parameters."""
        for name, g in gradients.items():
            if name in w.computed:
                g = self.computed[name].backward(g() if callable(g) else g, w.computed[name])
            self.grads.add(name, g)

    def learn_dot(self, w: Weights, w_dot: Weights | None, **gradients: tuple[Gradient, Gradient | None]) -> None:
        """grads += d/dt of what `learn` would add. Each gradient is (dW, dW_dot), with None for a dW_dot of zero; either may be
        a function, and only a computed weight that moves asks for dW."""
        for name, (g, g_dot) in gradients.items():
            if name in w.computed:
                hook, g_dot = self.computed[name], g_dot() if callable(g_dot) else g_dot
                if w_dot is not None:
                    g = g() if callable(g) else g
                    g_dot = hook.backward_jvp(g, hook.told(g, g_dot), w.computed[name], w_dot.computed[name])[1]
                elif g_dot is not None:
                    g_dot = hook.backward(g_dot, w.computed[name])
            if g_dot is not None:
                self.grads.add(name, g_dot)

    def commit(self, cache: Cache) -> None:
        """Computed weights move their state; a layer with state of its own extends this."""
        for name, hook in self.computed.items():
            hook.commit(cache.w.computed[name])

    # ---- data-dependent start, and sampling by streaming

    def data_init(self, x: Tree, key: Key) -> Tree:
        """Sets parameters from a first batch, once, before step 0; returns y."""
        return self.forward(x, train=True, key=key)[0]

    def stream(self, batch: int, width: int | None = None) -> Any:
        """A memory for `advance`: what a position must know of those before it.

        Positions lie along the second axis: times of a sequence, rows of an image. With a `width` they are the pixels of an
        image of that width, row by row. Where y_t does not depend on x_t, which a sampler knows only after y_t, a memory may
        be `late`: then advance is handed x of the position before, and the first one is of no effect.
        """
        if self.streams:
            return None
        raise NotImplementedError(f"{type(self).__name__} does not stream: its output at t is not a function of x up to t")

    def advance(self, x_t: Tree, memory: Any) -> Tree:
        """forward at one position, (N, C) or a row (N, W, C), given what came before; the memory moves on in place."""
        if self.streams:
            return self.forward(x_t)[0]
        raise NotImplementedError(f"{type(self).__name__}.advance is not written")

    def need(self, key: Key | None) -> Key:
        """`key`, or an error that says who needs it."""
        if key is None:
            raise ValueError(f"{type(self).__name__} draws noise: call forward(x, train=True, key=key)")
        return key
