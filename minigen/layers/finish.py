"""What comes after a product in a layer: a bias, and perhaps an activation, in one pass over memory each way.

    y = f(u), u = product + b        du = dy f'(u), db = sum du        y_dot = f'(u) u_dot        du_dot = d/dt (dy f'(u))

Linear and the convolutions are a product with this behind it, done by the product's own kernel where that can (`finished` of
kernels/epilogue). Of a (leaky) ReLU, u and y have one sign, and y alone is kept for the way back; for any other activation u is
kept, as a layer of its own would. No activation, and nothing is kept.

"..." any axes, M the last one.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from ..backend import Array
from ..kernels import epilogue, sums
from .elementwise import Elementwise
from .views import Gradient


def rows(x: Array) -> Array:
    """(..., D) -> (rows, D)."""
    return x if x.ndim == 2 else x.reshape(-1, x.shape[-1])


def is_leaky(f: Elementwise | None) -> bool:
    """Whether f is made of two straight pieces, and y has the sign of u."""
    return f is not None and f.kind == "leaky" and f.leak >= 0


def finished(
    product: Callable[..., Array], x: Array, W: Array, b: Array | None, f: Elementwise | None
) -> tuple[Array, Array | None]:
    """y = f(product(x, W) + b), and what the way back needs of it; `product` takes `bias` and `leak` too."""
    leaky = is_leaky(f)
    y = product(x, W, bias=b, leak=f.leak if f is not None and leaky else 1.0)
    if f is None or leaky:
        return y, y if leaky else None
    return f.f(y), y


def back(dy: Array, u: Array | None, f: Elementwise | None, biased: bool) -> tuple[Array, Gradient | None]:
    """du (..., M) and, where there is a bias, db (M,), or how to compute it where it belongs."""
    if f is not None and is_leaky(f):
        assert u is not None
        du, db = epilogue.back(rows(dy), rows(u), leak=f.leak, sums=biased)
        return du.reshape(dy.shape), db
    if f is not None:
        assert u is not None
        dy = f.through(dy, u)
    return dy, partial(sums.over_rows, rows(dy)) if biased else None
