"""Where a NaN came from: the objective, the term, the layer, found by evaluating the objectives again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..backend import Array, number
from ..layers.composite import NotFiniteError, watch
from ..layers.layer import Layer
from ..layers.tree import leaves
from ..models.model import Model
from ..random import Key
from .state import not_finite


def explain(model: Model, batch: Any, key: Key, terms: Mapping[str, float], before: Array) -> str:
    """One line on why `terms`, of the step that began with parameters `before`, are not finite.

    Leaves the model with the parameters `before`. What is reported is the innermost layer that put out the first bad value; if
    nothing bad is met again, the first parameter whose gradient is bad.
    """
    bad = [f"{name} = {value}" for name, value in terms.items() if not np.isfinite(value)]
    gradients = model.vector.views(model.grad.copy())
    model.theta[...] = before
    model.vector.raised([slice(0, len(model.theta))])
    if not all(number(np.isfinite(leaf).all()) for leaf in leaves(batch) if leaf.dtype.kind in "fc"):
        return f"{', '.join(bad)}, because the batch holds a value that is not finite"
    found = [place for objective in model.objectives if (place := _first_bad(model, objective, batch, key))]
    broken = not_finite(model.vector.views(model.theta))
    if broken is not None:
        found.append(f"the parameter {broken} was not finite any more when the step began")
    if not found and (name := not_finite(gradients)):
        found.append(f"the gradient of {name} is not finite")
    return "; ".join([", ".join(bad) or "a gradient is not finite", *found])


def first_bad_layer(model: Model, compute: Callable[[], Any]) -> str | None:
    """Which layer puts out the first value that is not finite while `compute` runs; None where none does."""
    try:
        with watch():
            compute()
    except NotFiniteError as error:
        return f"the first layer that put out such a value is {_path(model, error.layer)}"
    return None


def _first_bad(model: Model, objective: Any, batch: Any, key: Key) -> str | None:
    terms: dict[str, Any] = {}

    def compute() -> None:
        noise = objective.draw(model, batch, key)
        terms.update(objective(model, batch, noise, backward=False)[0])

    if (layer := first_bad_layer(model, compute)) is not None:
        return f"objective {objective.name!r}: {layer}"
    bad = [name for name, value in terms.items() if not np.isfinite(number(value))]
    return f"objective {objective.name!r}: every layer's output is finite, the loss's term {bad[0]!r} is not" if bad else None


def _path(model: Model, layer: Layer) -> str:
    """ "encoder.trunk.hidden (Linear)"."""
    kind = type(layer).__name__
    for root, net in model.nets.items():
        for path, node in net.walk(root):
            if node is layer:
                return f"{path} ({kind})"
    return kind
