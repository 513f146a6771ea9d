"""How a layer behaves: what it may change, what it must leave alone, and which options it obeys."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..backend import to_device
from ..layers.bijection import Chain
from ..layers.composite import Composite
from ..layers.layer import Layer, StaleCacheError
from ..layers.params import Params
from ..layers.tree import Tree, leaves, map_tree
from .subject import Lacks, Meter, Skip, Subject, vector_of
from .values import changed, gap, network_snapshot, snapshot


def _second(s: Subject) -> tuple[Any, Callable[..., tuple[Tree, Tree, Any]]] | None:
    """Tangents and backward_jvp, or None where second order is not written."""
    try:
        tangents = s.tangents(bool(s.v))
        s.backward_jvp(tangents)
    except (NotImplementedError, Skip):
        return None
    return tangents, s.backward_jvp


def repeatable(s: Subject, m: Meter) -> None:
    y, _ = s.forward()
    for leaf in leaves(s.y):
        if not np.isfinite(to_device(leaf, "cpu")).all():
            raise Lacks("y holds a number that is not finite")
    if any(not np.array_equal(a, b) for a, b in zip(leaves(y), leaves(s.y), strict=True)):
        raise Lacks("a second forward gives another y")
    if s.draws_noise and not s.needs_key:
        raise Lacks("it draws noise from its key, and accepts to get none: call self.need(key)")


def definition(s: Subject, m: Meter) -> None:
    sampled, trained = s.reference is not None and s.samples, s.trained is not None and s.trains
    if not sampled and not trained:
        raise Skip("none was given")
    if s.reference and sampled:
        m.expect("y, against the plain definition,", gap(s.y, s.reference(s.layer, s.x)))
    if s.trained and trained:
        m.expect("y in training, against the plain definition,", gap(s.y, s.trained(s.layer, s.x, s.cache)))


def pure(s: Subject, m: Meter) -> None:
    x, dy, dy_dot, x_dot = s.x, s.dy, s.dy_dot, s.x_dot

    def look() -> dict[str, Any]:
        things = {"x": x, "dy": dy, "dy_dot": dy_dot, "x_dot": x_dot, "cache": s.cache}
        return network_snapshot(s.layer) | snapshot(things) | snapshot(kept)

    def after(name: str) -> None:
        moved = changed(before, look())
        if moved:
            raise Lacks(f"{name} changes {', '.join(moved[:3])}")

    kept: dict[str, Any] = {}
    before = look()
    s.layer.zero_grads()
    s.forward(map_tree(lambda leaf: leaf[::-1], x))
    after("forward")
    s.backward()
    after("backward")
    gradients = s.vector.grad.copy()
    try:
        kept["tangents"] = s.tangents(bool(s.v))
    except Skip:
        return
    before |= snapshot(kept)
    after("jvp")
    if not np.array_equal(s.vector.grad, gradients):
        raise Lacks("jvp changes the gradients")
    second = _second(s)
    if second:
        second[1](kept["tangents"])
        after("backward_jvp")


def options(s: Subject, m: Meter) -> None:
    dx, grads = s.backward()
    calls: list[tuple[str, Callable[..., tuple[Tree, Any]], Tree, dict[str, Any]]] = [
        ("backward", lambda **options: s.backward(**options), dx, grads)
    ]
    second = _second(s)
    if second:
        *dxs, grads_dot = second[1](second[0])

        def both(**options: bool) -> tuple[Tree, Any]:
            *dxs, grads = second[1](second[0], **options)
            return tuple(dxs), grads

        calls.append(("backward_jvp", both, tuple(dxs), grads_dot))
    for name, call, dx, grads in calls:
        spared, same = call(need_dx=False)
        if any(True for _ in leaves(spared)):
            raise Lacks(f"{name} with need_dx=False still returns dx")
        m.expect(f"{name}: gradients with need_dx=False", _gap(same, grads), 1e-12)
        same_dx, none = call(param_grads=False)
        _no_gradient(none, f"{name} with param_grads=False")
        m.expect(f"{name}: dx with param_grads=False", gap(same_dx, dx), 1e-12)
        _no_gradient(call(param_grads=False, need_dx=False)[1], f"{name} with neither asked for")
        s.layer.freeze()
        try:
            frozen_dx, none = call()
        finally:
            s.layer.freeze(False)
        _no_gradient(none, f"{name} of a frozen layer")
        m.expect(f"{name}: dx of a frozen layer", gap(frozen_dx, dx), 1e-12)


def spared(s: Subject, m: Meter) -> None:
    if not isinstance(s.layer, Composite):
        raise Skip("it is made of no other layers")
    if not s.v or not any(leaf.dtype.kind == "f" for leaf in leaves(s.x)):
        raise Skip("its first part has no dx to spare")
    parts = [node for _, node in s.layer.walk() if isinstance(node, Layer) and not isinstance(node, Composite)]
    second = _second(s)
    asked: list[bool] = []  # need_dx of every call that reaches a part
    idle: list[Layer] = []  # parts that were called for neither dx nor gradients

    def spy(part: Layer, name: str) -> None:
        original = getattr(part, name)

        def called(*args: Any, need_dx: bool = True, param_grads: bool = True) -> Any:
            asked.append(need_dx)
            if not need_dx and not (param_grads and part.can_learn):
                idle.append(part)
            return original(*args, need_dx=need_dx, param_grads=param_grads)

        setattr(part, name, called)

    for name in ("backward", "backward_jvp") if second else ("backward",):
        for part in parts:
            spy(part, name)
        try:
            for param_grads in (False, True):
                asked.clear()
                if name == "backward":
                    s.backward(need_dx=False, param_grads=param_grads)
                elif second:
                    second[1](second[0], need_dx=False, param_grads=param_grads)
        finally:
            for part in parts:
                vars(part).pop(name, None)
        if idle:
            raise Lacks(f"{name} goes through {type(idle[0]).__name__} for neither dx nor gradients")
        if all(asked):
            raise Lacks(f"{name} with need_dx=False asks every part for its dx: say need_dx=b.need_dx in unwire")


def _no_gradient(grads: dict[str, Any], what: str) -> None:
    filled = [path for path, g in grads.items() if to_device(g, "cpu").any()]
    if filled:
        raise Lacks(f"{what} still fills the gradient of {filled[0]}")


def _gap(a: dict[str, Any], b: dict[str, Any]) -> float:
    return max((gap(a[path], b[path]) for path in b), default=0.0)


def additive(s: Subject, m: Meter) -> None:
    if not s.v:
        raise Skip("it has no parameters")
    _, alone = s.backward()
    second = _second(s)
    dots = second[1](second[0])[2] if second else {}

    def begun() -> None:
        for path, place in s.parameters.items():
            place.of(s.vector.grad)[...] = s.v[path]

    begun()
    s.layer.backward(s.dy, s.cache)
    sums = {path: s.v[path] + g for path, g in alone.items()}
    m.expect("gradients after backward, which began with other values,", _gap(s.grads(s.layer), sums), 1e-12)
    if second:
        begun()
        s.layer.backward_jvp(s.dy, s.dy_dot, s.cache, second[0])
        sums = {path: s.v[path] + g for path, g in dots.items()}
        m.expect("gradients after backward_jvp, which began with other values,", _gap(s.grads(s.layer), sums), 1e-12)

    def zero() -> None:
        s.layer.zero_grads()
        for place in s.parameters.values():
            place.of(s.vector._grad)[...] = np.nan  # not `grad`, which writes zeros: what counts as zero need not be zero

    zero()
    s.layer.backward(s.dy, s.cache)
    m.expect("gradients after zero_grads and backward, what was there being NaN,", _gap(s.grads(s.layer), alone), 1e-12)
    if second:
        zero()
        s.layer.backward_jvp(s.dy, s.dy_dot, s.cache, second[0])
        m.expect("gradients after zero_grads and backward_jvp, what was there being NaN,", _gap(s.grads(s.layer), dots), 1e-12)


def two_calls(s: Subject, m: Meter) -> None:
    other = map_tree(lambda leaf: leaf[::-1] * 0.5 if leaf.dtype.kind == "f" else leaf[::-1], s.x)
    dy2 = map_tree(lambda leaf: leaf * 0.5, s.dy_dot)
    alone1, alone2 = s.backward(s.forward()[1]), s.backward(s.forward(other)[1], dy2)
    for order in ("first, second", "second, first"):
        first, second = s.forward()[1], s.forward(other)[1]
        if order == "first, second":
            got1, got2 = s.backward(first), s.backward(second, dy2)
        else:
            got2, got1 = s.backward(second, dy2), s.backward(first)
        for name, got, alone in (("first", got1, alone1), ("second", got2, alone2)):
            what = f"after two forwards and backwards in the order {order}: the {name} call's"
            m.expect(f"{what} dx", gap(got[0], alone[0]), 1e-12)
            m.expect(f"{what} gradients", _gap(got[1], alone[1]), 1e-12)


def stale(s: Subject, m: Meter) -> None:
    if not s.v:
        raise Skip("it has no parameters")
    twin = s.layer.clone(np.float64)
    _, cache = s.forward(layer=twin)
    vector_of(twin).raised(vector_of(twin).spans(""))
    try:
        twin.backward(s.dy, cache)
    except StaleCacheError:
        pass
    else:
        raise Lacks("backward takes a cache from before an optimiser's step: ask self.weights(cache)")
    try:
        twin.jvp(s.x_dot, cache)
    except (StaleCacheError, NotImplementedError):
        return
    raise Lacks("jvp takes a cache from before an optimiser's step: ask self.weights(cache)")


def commit(s: Subject, m: Meter) -> None:
    nodes = [node for _, node in s.layer.walk()]
    states = [dict(node.state) for node in nodes]
    expected = s.committed(s.layer, s.x) if s.committed and s.trains else {}
    before = _look(s.layer), snapshot({"cache": s.cache, "old": states}), s.vector.grad.copy()
    dx, grads = s.backward()
    try:
        s.vector.grad[...] = before[2]
        s.layer.commit(s.cache)
        if moved := changed(before[0], _look(s.layer)):
            raise Lacks(f"commit changes {moved[0]}, which is not state")
        for path, node in s.layer.walk():
            for name in node.state:
                full = f"{path}.{name}" if path else name
                if full in expected:
                    m.expect(
                        f"the state {full} after commit, against the plain definition,", gap(node.state[name], expected[full])
                    )
        if not np.array_equal(s.vector.grad, before[2]):
            raise Lacks("commit changes the gradients")
        if moved := changed(before[1], snapshot({"cache": s.cache, "old": states})):
            raise Lacks(f"commit writes into {moved[0]}: it replaces arrays of state, and never writes into them")
        dx_after, grads_after = s.backward()
        m.expect("dx of a cache from before commit", gap(dx_after, dx), 1e-12)
        m.expect("gradients of a cache from before commit", _gap(grads_after, grads), 1e-12)
        if s.trains:
            _moves(s, nodes)
    finally:
        for node, state in zip(nodes, states, strict=True):
            node.state = state


def _moves(s: Subject, nodes: list[Params]) -> None:
    """A state that was pushed away from where it may have come to rest must move again."""
    for node in nodes:
        node.state = {name: value + 0.1 if value.dtype.kind == "f" else value for name, value in node.state.items()}
    before = [snapshot(node.state) for node in nodes]
    s.layer.commit(s.forward()[1])
    for node, old in zip(nodes, before, strict=True):
        if old and type(node).commit not in _INHERITED and not changed(old, snapshot(node.state)):
            raise Lacks(f"commit of {type(node).__name__} after training leaves its state as it was")


_INHERITED = (Params.commit, Layer.commit, Composite.commit, Chain.commit)


def _look(layer: Params) -> dict[str, Any]:
    return {
        path: value for path, value in network_snapshot(layer).items() if ".state" not in path and not path.startswith("state")
    }
