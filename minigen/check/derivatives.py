"""The properties of the four passes as mathematics: each derivative against the complex step."""

from __future__ import annotations

import math

import numpy as np

from ..backend import to_device
from ..layers.tree import Tree, leaves, map_tree, moving
from .subject import STEP, Lacks, Meter, Skip, Subject, imag, real
from .values import FLOOR, gap, inner


def norm(tree: Tree) -> float:
    """The length of a tree as one vector."""
    return math.sqrt(sum(float((np.abs(to_device(leaf, "cpu")) ** 2).sum()) for leaf in leaves(tree)))


def size(tree: Tree) -> int:
    """The count of numbers in a tree."""
    return sum(to_device(leaf, "cpu").size for leaf in leaves(tree))


def slope_gap(numeric: float, g: Tree, v: Tree) -> float:
    """|numeric - <g, v>| / (|g| |v| / sqrt(n)): measured by what <g, v> typically is, not by itself, which may cancel."""
    typical = max(norm(g) / math.sqrt(max(1, size(g))), FLOOR) * norm(v)
    return abs(numeric - float(inner(g, v))) / max(typical, FLOOR)


def same_structure(dx: Tree, x: Tree, name: str) -> None:
    """Raises Lacks unless dx mirrors x, with None where x holds integers."""
    if isinstance(x, tuple):
        if not isinstance(dx, tuple) or len(dx) != len(x):
            raise Lacks(f"{name} must be a tuple of {len(x)}, like x")
        for i, part in enumerate(x):
            same_structure(dx[i], part, f"{name}[{i}]")
    elif x.dtype.kind not in "fc":
        if dx is not None:
            raise Lacks(f"{name} belongs to integers and must be None")
    elif getattr(dx, "shape", None) != x.shape:
        raise Lacks(f"{name} has shape {getattr(dx, 'shape', None)}, x has {x.shape}")


def gradient(s: Subject, m: Meter) -> None:
    dx, grads = s.backward()
    same_structure(dx, s.x, "dx")
    y, _ = s.moved(x=True)
    m.expect("forward in complex numbers (it must branch on .real, and avoid abs, norm and var)", gap(real(y), s.y))
    m.expect("dx", slope_gap(float(inner(s.dy, imag(y))), dx, s.x_dot))
    for path, g in grads.items():
        y, _ = s.moved(x=False, parameters=(path,))
        s.still()
        m.expect(f"the gradient of {path}", slope_gap(float(inner(s.dy, imag(y))), g, s.v[path]))


def tangent(s: Subject, m: Meter) -> None:
    y_dot, _ = s.jvp()
    wrong = [
        (np.shape(a), b.shape) for a, b in zip(leaves(y_dot), leaves(s.y), strict=False) if np.shape(b) not in ((), np.shape(a))
    ]
    if wrong:
        raise Lacks(f"y_dot has shape {wrong[0][0]}, y has {wrong[0][1]}")
    y, _ = s.moved(x=True)
    m.expect("y_dot along x_dot", gap(y_dot, imag(y)))
    if s.v:
        y_dot, _ = s.jvp(move_params=True)
        y, _ = s.moved(x=True, parameters=tuple(s.v))
        s.still()
        m.expect("y_dot with the parameters moving too", gap(y_dot, imag(y)))


def still(s: Subject, m: Meter) -> None:
    if not s.layer.takes_still:
        raise Skip("it takes no None for a dy_dot of zero")
    dots = map_tree(np.zeros_like, s.dy_dot)
    for move in (False, True) if s.v else (False,):
        tangents = s.tangents(move)
        try:
            dx, dx_dot, grads = s.backward_jvp(tangents, dy_dot=dots)
        except NotImplementedError as error:
            raise Skip(str(error)) from None
        same, answer, same_grads = s.backward_jvp(tangents, dy_dot=None)
        m.expect("dx with dy_dot=None, against zeros,", gap(same, dx), 1e-12)
        m.expect("dx_dot with dy_dot=None, against zeros,", gap(moving(dx, answer), dx_dot), 1e-12)
        for path, g in grads.items():
            m.expect(f"what is added for {path} with dy_dot=None, against zeros,", gap(same_grads[path], g), 1e-12)


def adjoint(s: Subject, m: Meter) -> None:
    y_dot, _ = s.jvp()
    dx, _ = s.backward()
    m.expect("<dy, J x_dot> - <J' dy, x_dot>", slope_gap(float(inner(s.dy, y_dot)), dx, s.x_dot))


def second_order(s: Subject, m: Meter) -> None:
    plain, _ = s.backward()
    for move in (False, True) if s.v else (False,):
        tangents = s.tangents(move)
        try:
            dx, dx_dot, grads_dot = s.backward_jvp(tangents)
        except NotImplementedError as error:
            raise Skip(str(error)) from None
        _, cache = s.moved(x=True, parameters=tuple(s.v) if move else ())
        true_dx, true_grads = s.backward(cache, s.leaning(s.dy, s.dy_dot), s.twin)
        s.still()
        along = "x, dy and the parameters move" if move else "x and dy move"
        m.expect(f"backward_jvp's dx, where {along},", gap(dx, plain))
        m.expect(f"dx_dot, where {along},", gap(dx_dot, imag(true_dx)))
        for path, g in grads_dot.items():
            m.expect(f"what backward_jvp adds for {path}, where {along},", gap(g, true_grads[path].imag / STEP))
