"""The properties of special layers: those that stream, those that can be inverted, those that start from data."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..backend import Array
from ..layers.bijection import Bijection
from ..layers.coupling import Transform
from ..layers.layer import Layer
from ..layers.tree import Tree, leaves, map_tree
from .subject import STEP, Lacks, Meter, Skip, Subject
from .values import gap


def streaming(s: Subject, m: Meter) -> None:
    if not s.samples:
        raise Skip("sampling does not train")
    x = s.x
    if not all(leaf.ndim >= 3 or (leaf.ndim == 2 and leaf.dtype.kind not in "fc") for leaf in leaves(x)):
        if not s.layer.streams:
            raise Skip("its input has no positions")
        x = map_tree(lambda leaf: np.stack((leaf, leaf[::-1], 0 * leaf), 1), x)  # (N, 3, ...)
    y, _ = s.forward(x)
    if len({leaf.shape[1] for leaf in leaves(x)}) > 1:
        raise Skip("its inputs have different positions")
    ways = [("position", x, y, ())]
    if all(np.ndim(leaf) == 4 for leaf in (*leaves(x), *leaves(y))) and len({leaf.shape[1:3] for leaf in leaves((x, y))}) == 1:
        in_raster_order = (map_tree(lambda leaf: leaf.reshape(len(leaf), -1, leaf.shape[3]), tree) for tree in (x, y))
        ways.append(("pixel", *in_raster_order, (next(leaves(x)).shape[2],)))
    refused = []
    for way in ways:
        try:
            _stream(s, m, *way)
        except NotImplementedError as error:
            if s.layer.streams:
                raise Lacks(f"it says that it streams, but {error}") from error
            refused.append(way)
    if refused == ways:
        raise Skip("it does not stream")


def _stream(s: Subject, m: Meter, unit: str, x: Tree, y: Tree, width: tuple[int, ...]) -> None:
    """Position by position along the second axis, with another stream in between."""
    one, two = s.layer.stream(len(s.first), *width), s.layer.stream(len(s.first), *width)
    for t in range(next(leaves(x)).shape[1]):
        seen = t - 1 if getattr(one, "late", False) else t  # the first that a late one is handed is of no effect: x_(-1)
        at = map_tree(lambda leaf: leaf[:, seen], x)  # noqa: B023  called at once
        out = s.layer.advance(at, one)
        m.expect(f"advance at {unit} {t}", gap(out, map_tree(lambda leaf: leaf[:, t], y)), 1e-12)  # noqa: B023
        s.layer.advance(map_tree(lambda leaf: leaf[::-1], at), two)


def inverse(s: Subject, m: Meter) -> None:
    if isinstance(s.layer, Transform):  # of its first input; the second says which bijection it is
        wanted, h = s.x
        z, logdet = s.y
        x, back = s.layer.inverse(z, h)
    elif isinstance(s.layer, Bijection):
        wanted = s.x
        z, logdet = s.y
        x, back = s.layer.inverse(z)
    else:
        raise Skip("it is no bijection")
    m.expect("inverse(forward(x))", gap(x, wanted))
    m.expect("the inverse's logdet, which is minus forward's,", gap(-back, logdet))


def volume(s: Subject, m: Meter) -> None:
    if not isinstance(s.layer, Bijection):
        raise Skip("it is no bijection")
    if any(node.mixes_batch for _, node in s.layer.walk() if isinstance(node, Layer)) and s.trains:
        raise Skip("it mixes the batch")
    if s.draws_noise:
        raise Skip("it draws noise")
    x, logdet = s.x, s.y[1]
    if isinstance(x, tuple):
        raise Skip("its input is a tuple")
    N = len(x)
    D = x.size // N
    if D > 128:
        raise Skip(f"a numeric Jacobian of {D} numbers a row is too much: give a smaller input")
    jacobian = np.empty((N, D, D))  # d z_i / d x_j of every row
    for j in range(D):
        step = np.zeros((N, D), complex)
        step[:, j] = 1j * STEP
        moved, _ = s.forward(x + step.reshape(x.shape), s.twin)
        jacobian[:, :, j] = _rows(moved[0], N).imag / STEP
    sign, true = np.linalg.slogdet(jacobian)
    if not sign.all():
        raise Lacks("its Jacobian has determinant 0")
    m.expect("logdet, against log |det| of the numeric Jacobian,", gap(np.broadcast_to(logdet, (N,)), true))


def _rows(z: Tree, N: int) -> Array:
    return np.concatenate([leaf.reshape(N, -1) for leaf in leaves(z)], 1)


def data_start(s: Subject, m: Meter) -> None:
    if not any(type(node).data_init not in _INHERITED for _, node in s.layer.walk() if isinstance(node, Layer)):
        raise Skip("it starts without data")
    fresh = s.layer.clone(np.float64)
    key = s.key.at("start")
    y = fresh.data_init(s.x, key)
    after, _ = fresh.forward(s.x, train=True, key=key)
    m.expect("what data_init returns, against forward afterwards,", gap(y, after))


def _inherited() -> tuple[Any, ...]:
    from ..layers.composite import Composite

    return Layer.data_init, Composite.data_init


_INHERITED = _inherited()
