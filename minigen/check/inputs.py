"""What a layer does with other inputs: strided, reordered, in another type, empty, on another device or kernel rung."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from ..backend import to_device, zeros
from ..kernels import rungs
from ..layers.layer import Layer
from ..layers.tree import Tree, leaves, map_tree
from .device_array import DEVICE
from .subject import Lacks, Meter, Skip, Subject
from .values import FLOOR, gap

SINGLE_FLOOR = 1.0  # a gradient that is zero but for rounding, of a bias before a normalisation, is noise in float32

Results = dict[str, Tree]  # what the four passes give, by name


def passes(s: Subject, to: Callable[[Any], Any] = lambda leaf: leaf) -> Results:
    """y, dx, gradients, y_dot, dx_dot and their gradients, of this subject's values, each leaf sent through `to`."""
    x, dy, dy_dot, x_dot = (map_tree(to, tree) for tree in (s.x, s.dy, s.dy_dot, s.x_dot))
    y, cache = s.forward(x)
    dx, grads = s.backward(cache, dy)
    results = {"y": y, "dx": dx, **{f"the gradient of {path}": g for path, g in grads.items()}}
    try:
        results["y_dot"], tangents = s.layer.jvp(x_dot, cache, move_params=bool(s.v))
        s.layer.zero_grads()
        _, results["dx_dot"] = s.layer.backward_jvp(dy, dy_dot, cache, tangents)
    except NotImplementedError:
        return results
    return results | {f"backward_jvp's gradient of {path}": g for path, g in s.grads(s.layer).items()}


def _compare(got: Results, wanted: Results, m: Meter, tolerance: float, how: str, floor: float = FLOOR) -> None:
    for name, value in wanted.items():
        m.expect(f"{name} {how}", gap(got[name], value, floor), tolerance)


def strided(s: Subject, m: Meter) -> None:
    def spread(leaf: Any) -> Any:
        wide = zeros(tuple(2 * n for n in leaf.shape), leaf.dtype, like=leaf)
        view = wide[tuple(slice(None, None, 2) for _ in leaf.shape)]
        view[...] = leaf
        return view

    _compare(passes(s, to=spread), passes(s), m, 1e-12, "of inputs that are not contiguous")


def batch(s: Subject, m: Meter) -> None:
    if any(node.mixes_batch for _, node in s.layer.walk() if isinstance(node, Layer)):
        raise Skip("it mixes the batch, and says so")
    if s.draws_noise:
        raise Skip("its noise belongs to places, not to rows")
    counts = {len(leaf) for tree in (s.x, s.y) for leaf in leaves(tree) if np.ndim(leaf)}
    if len(counts) > 1:
        raise Lacks(f"its inputs and outputs have {sorted(counts)} rows: rows come first, and are as many everywhere")
    N = counts.pop()
    rows = np.r_[N - 1 : 0 : -1, N - 1] if N > 1 else np.zeros(2, int)  # backwards, one missing, one twice

    def pick(tree: Tree) -> Tree:
        return map_tree(lambda leaf: leaf[rows] if np.ndim(leaf) else leaf, tree)

    y, cache = s.forward(pick(s.x))
    m.expect("y of some of the rows", gap(y, pick(s.y)), 1e-12)
    dx, grads = s.backward(cache, pick(s.dy))
    whole, _ = s.backward()
    m.expect("dx of some of the rows", gap(dx, pick(whole)), 1e-12)
    weights = np.bincount(rows, minlength=N)  # the gradient is a sum over rows, each as often as it was picked
    _, expected = s.backward(dy=map_tree(lambda leaf: leaf * weights.reshape(-1, *[1] * (leaf.ndim - 1)), s.dy))
    for path, g in expected.items():
        m.expect(f"the gradient of {path} of some of the rows", gap(grads[path], g), 1e-12)


def single(s: Subject, m: Meter) -> None:
    small = s.as_type(np.float32)
    results = passes(small)
    for name, tree in results.items():
        for leaf in leaves(tree):
            kind = getattr(leaf, "dtype", None)
            if np.ndim(leaf) and kind is not None and kind.kind in "fc" and kind != np.float32:
                raise Lacks(
                    f"{name} is {kind} where everything went in as float32 (math.sqrt, not np.sqrt, of a Python number)"
                )
    _compare(results, passes(s), m, 1e-3, "in float32, against float64,", SINGLE_FLOOR)


def empty(s: Subject, m: Meter) -> None:
    x, dy = (map_tree(lambda leaf: leaf[:0], tree) for tree in (s.x, s.dy))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            y, cache = s.forward(x)
        except ValueError as error:
            if len(str(error).split()) < 4:
                raise Lacks(f"it refuses an empty batch without saying why: {error}") from error
            raise Skip("it refuses one, and says why") from None
        dx, grads = s.backward(cache, dy)
    expected = map_tree(lambda leaf: leaf[:0] if np.ndim(leaf) else leaf, s.y)
    if [np.shape(leaf) for leaf in leaves(y)] != [np.shape(leaf) for leaf in leaves(expected)]:
        raise Lacks(f"y of an empty batch has shapes {[np.shape(leaf) for leaf in leaves(y)]}")
    if any(len(leaf) for leaf in leaves(dx)):
        raise Lacks("dx of an empty batch is not empty")
    for path, g in grads.items():
        g = to_device(g, "cpu")
        if g.any() or not np.isfinite(g).all():
            raise Lacks(f"an empty batch leaves a gradient in {path}")


def device(s: Subject, m: Meter) -> None:
    if s.device == "cpu":
        there, tolerance = DEVICE, 1e-12  # whose numbers are NumPy's
    else:
        there, tolerance = "cpu", m.tolerance  # another library's exp, and sums in another order
    _compare(passes(s.on(there)), passes(s), m, tolerance, f"on the device {there!r}, against {s.device!r},")


def back_ends(s: Subject, m: Meter) -> None:
    small = s.as_type(np.float32)
    with rungs("definition"):
        wanted = passes(small)
    try:
        with rungs("numba"):
            got = passes(small)
    except ModuleNotFoundError as error:
        raise Skip(f"there is no {error.name}") from None
    _compare(got, wanted, m, 1e-4, "on the Numba rungs", SINGLE_FLOOR)


def _without_none(dx: Tree, x: Tree) -> Tree:
    """dx with zeros where it is None: no gradient at all is a gradient of zeros."""
    if isinstance(x, tuple):
        return tuple(_without_none(None if dx is None else dx[i], part) for i, part in enumerate(x))
    return np.zeros_like(x) if dx is None else dx


def unused(s: Subject, m: Meter) -> None:
    if not isinstance(s.y, tuple):
        raise Skip("it has one output")
    for i, part in enumerate(s.dy):
        if part is None or isinstance(part, tuple):
            continue
        zero = (*s.dy[:i], np.zeros_like(part), *s.dy[i + 1 :])
        none = (*s.dy[:i], None, *s.dy[i + 1 :])
        (dx, grads), (dx0, grads0) = s.backward(dy=none), s.backward(dy=zero)
        dx, dx0 = _without_none(dx, s.x), _without_none(dx0, s.x)
        m.expect(f"dx with None in place of zeros for output {i}", gap(dx, dx0), 1e-12)
        for path, g in grads0.items():
            m.expect(f"the gradient of {path} with None for output {i}", gap(grads[path], g), 1e-12)
        dot_none = (*s.dy_dot[:i], None, *s.dy_dot[i + 1 :])
        dot_zero = (*s.dy_dot[:i], np.zeros_like(part), *s.dy_dot[i + 1 :])
        try:
            tangents = s.tangents(bool(s.v))
            both = [s.layer.backward_jvp(*dys, s.cache, tangents) for dys in ((none, dot_none), (zero, dot_zero))]
        except (Skip, NotImplementedError):
            continue
        a, b = (tuple(_without_none(part, s.x) for part in pair) for pair in both)
        m.expect(f"backward_jvp with None in place of zeros for output {i}", gap(a, b), 1e-12)
