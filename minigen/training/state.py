"""All that training changes in a model, as arrays and numbers by name; and putting it back.

    theta/encoder.mu.W          parameters, by path
    layer/trunk.norm.mean       state of layers
    model/chain                 state of the model
    optimizer/adam/m.encoder... moments; the count of steps is a number, "optimizer/adam"
    average/theta/encoder...    running averages of parameters

By name, not by offset: how parameters are packed may change between two versions of minigen.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ..backend import Array, device_of, number, to_device
from ..layers.params import Params
from ..models.model import Model
from .errors import CheckpointError


def arrays_of(model: Model) -> dict[str, Array]:
    """Every array by name, in place: a view where the model has one."""
    found = {f"theta/{path}": view for path, view in model.vector.views(model.theta).items()}
    for path, node in _nodes(model):
        found |= {f"layer/{path}.{name}": value for name, value in node.state.items()}
    found |= {f"model/{name}": value for name, value in model.state.items()}
    for kind, keeper, holder in _holders(model):
        found |= {f"{kind}/{keeper}/{path}": value for path, value in holder.named_state()}
    return found


def numbers_of(model: Model) -> dict[str, int]:
    """The step counts of optimisers and averages."""
    return {f"{kind}/{name}": holder.t for kind, name, holder in _holders(model)}


def put_back(model: Model, arrays: Mapping[str, Array], numbers: Mapping[str, int], *, training: bool = True) -> None:
    """Makes `model` what it was when `arrays_of` and `numbers_of` were taken. `training=False` leaves the optimisers out.

    Raises CheckpointError where names or shapes are not the model's.
    """
    kinds = ("theta/", "layer/", "average/") + (("optimizer/",) if training else ())
    expected = {name: array for name, array in arrays_of(model).items() if name.startswith(kinds)}
    saved = {name for name in arrays if name.startswith(kinds)}
    for names, says in ((set(expected) - saved, "the checkpoint lacks"), (saved - set(expected), "the model has no")):
        if names:
            raise CheckpointError(f"this checkpoint is of another model: {says} {min(names)}")
    for name, array in expected.items():
        if array.shape != arrays[name].shape:
            raise CheckpointError(
                f"this checkpoint is of another model: {name} has shape {arrays[name].shape} there and {array.shape} here"
            )
    device = device_of(model.theta)
    for name, array in expected.items():
        if not name.startswith("layer/"):
            array[...] = to_device(arrays[name], device)
    # State is replaced, never written in place: a cache made before may still hold the old array.
    for path, node in _nodes(model):
        node.state.update({name: to_device(arrays[f"layer/{path}.{name}"], device).copy() for name in node.state})
    own = {name.removeprefix("model/"): value for name, value in arrays.items() if name.startswith("model/")}
    model.state = {name: to_device(value, device).copy() for name, value in own.items()}
    for kind, name, holder in _holders(model):
        if f"{kind}/" in kinds:
            holder.t = int(numbers[f"{kind}/{name}"])
    model.vector.raised([slice(0, len(model.theta))])


def not_finite(arrays: Mapping[str, Array]) -> str | None:
    """The name of the first array that holds a NaN or an infinity."""
    return next((name for name, a in arrays.items() if a.dtype.kind in "fc" and not number(np.isfinite(a).all())), None)


def _nodes(model: Model) -> Iterator[tuple[str, Params]]:
    """Every layer once, under its first path."""
    seen = set()
    for root, net in model.nets.items():
        for path, node in net.walk(root):
            if id(node) not in seen:
                seen.add(id(node))
                yield path, node


def _holders(model: Model) -> Iterator[tuple[str, str, Any]]:
    """(kind, name, optimiser or average): what has `named_state()` and counts its steps in `t`."""
    yield from (("optimizer", name, optimizer) for name, optimizer in model.optimizers.items())
    yield from (("average", name, average) for name, average in model.averages.items())
