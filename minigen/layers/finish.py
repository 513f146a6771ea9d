"""What comes after a product in a layer: a bias, and perhaps an activation, in one pass over memory each way.

    y = f(u), u = product + b        du = dy f'(u), db = sum du        y_dot = f'(u) u_dot        du_dot = d/dt (dy f'(u))

Linear and the convolutions are a product with this behind it. Of a (leaky) ReLU, u and y have one sign, and y alone is kept for
the way back; for any other activation u is kept, as a layer of its own would. No activation, and nothing is kept.

"..." any axes, M the last one.
"""

from __future__ import annotations

from ..backend import Array
from ..kernels import epilogue
from .elementwise import Elementwise


def rows(x: Array) -> Array:
    """(..., D) -> (rows, D)."""
    return x.reshape(-1, x.shape[-1])


def is_leaky(f: Elementwise | None) -> bool:
    """Whether f is made of two straight pieces, and y has the sign of u."""
    return f is not None and f.kind == "leaky" and f.leak >= 0


def finish(y: Array, b: Array | None, f: Elementwise | None) -> tuple[Array, Array | None]:
    """y = f(y + b), in y's memory where f allows; and what the way back needs of it."""
    leaky = is_leaky(f)
    epilogue.finish(rows(y), b, leak=f.leak if f is not None and leaky else 1.0)
    if f is None or leaky:
        return y, y if leaky else None
    return f.f(y), y


def back(dy: Array, u: Array | None, f: Elementwise | None, sums: bool) -> tuple[Array, Array | None]:
    """du (..., M) and, with `sums`, db (M,)."""
    if f is None or is_leaky(f):
        leak = 1.0 if f is None else f.leak
        du, db = epilogue.back(rows(dy), None if u is None else rows(u), leak=leak, sums=sums)
        return du.reshape(dy.shape), db
    assert u is not None
    return back(f.through(dy, u), None, None, sums)
