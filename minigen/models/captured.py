"""A training step captured as one graph, and launched again and again.

    step = Captured(model)
    terms = step(batch, key)            # as model.step, but the terms stay on the device, where the next step overwrites them

A step of a small model is hundreds of launches of a few microseconds each, and Python takes longer to ask for one than the GPU
to do it. Captured, it is one launch. What changes from step to step is written where the launches look: the rows into buffers,
the key's words and the optimisers' numbers (learning rate, bias corrections, an average's share) into one small array; all
other keys are derived on the device (device_key.py). State that `commit` replaces is copied back to where it was.

The first step of each kind runs as usual, which compiles its kernels; the second is captured. Of a kind are steps with batches
of one shape, one `model.phase()` (a critic that moves five times as often as its generator has two kinds) and one precision: a
graph keeps the kernels it was recorded with, so a step in tf32 is not the step in float32. Equal to the step that is not
captured, bit for bit: the same kernels take the same numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np

from .. import backend
from ..averaging import Average
from ..backend import Array, CaptureError, device_of
from ..kernels import chosen_precision, combine
from ..kernels.cuda.graph import graph
from ..optim import Dial, Optimizer
from ..random import Key
from .device_key import DeviceKey
from .model import Model
from .objective import Terms

Place: TypeAlias = tuple[str, dict[str, Any], str, Array]
WORDS = 4  # of a key
NUMBERS = 8  # of an optimiser, at most


class Captured:
    """The step of a model on a GPU. Raises CaptureError with the reason where the model's step cannot be captured."""

    def __init__(self, model: Model, update: str = "step") -> None:
        """`update`: the name of the method that is one step."""
        if model.uncaptured is not None:
            raise CaptureError(f"a step of {model.name} is not captured: {model.uncaptured}")
        if device_of(model.theta) == "cpu":
            raise CaptureError(f"a step of {model.name} on the CPU is not captured: move the model to a GPU first")
        self.model, self._update, self._places = model, getattr(model, update), list(_places(model))
        self._programs: dict[Any, _Program | None] = {}  # kind of step -> its program, None where it has run once

    def __call__(self, batch: Any, key: Key) -> Terms:
        """One step."""
        self.model.vector.write_zeros()  # here and at the end of each step: the host's notes are not in the graph
        kind = self.model.phase(), chosen_precision(), tuple((part.shape, part.dtype.str) for part in _parts(batch))
        if kind not in self._programs:
            self._programs[kind] = None
            terms: Terms = self._update(batch, key)
            _settle(self._places)
            self.model.vector.write_zeros()
            return terms
        program = self._programs[kind]
        if program is None:
            program = self._programs[kind] = _Program(self.model, self._update, batch, self._places)
            return program.run(batch, key, recorded=True)
        return program.run(batch, key)


class _Program:
    """One kind of step, recorded."""

    def __init__(self, model: Model, update: Any, batch: Any, places: list[Place]) -> None:
        self.model, self.places, self.buffers = model, places, _map(lambda part: part.copy(), batch)
        self.holders = {**_named(model.optimizers, "optimizer"), **_named(model.averages, "average")}
        self.control = backend.zeros(WORDS + NUMBERS * len(self.holders), np.uint32, like=model.theta)
        self.dials = {
            name: Dial(self.control[WORDS + NUMBERS * i :][:NUMBERS].view(np.float32)) for i, name in enumerate(self.holders)
        }
        self.graph = graph(model.theta)
        self.terms = self._recorded(update)
        self.moving = [name for name, dial in self.dials.items() if dial.set is not None]

    def _recorded(self, update: Any) -> Terms:
        """Takes the step down. The host counts it, so what it set on the dials are the numbers of the step to come."""
        before = {name: value for name, value in vars(self.model).items() if isinstance(value, int | float)}
        try:
            for name, holder in self.holders.items():
                holder.dial = self.dials[name]
            with self.graph.recording():
                terms: Terms = update(self.buffers, DeviceKey(self.control[:WORDS]))
                _settle(self.places)
                self.model.vector.write_zeros()
        finally:
            for holder in self.holders.values():
                holder.dial = None
        for name, value in before.items():
            if getattr(self.model, name) != value:
                raise CaptureError(
                    f"a step of {self.model.name} changes its {name}, a number on the host: train it with --eager"
                )
        for name, value in terms.items():
            if isinstance(value, np.generic | int | float | complex):
                raise CaptureError(f"the term {name!r} of {self.model.name} is a number on the host: train it with --eager")
        return terms

    def run(self, batch: Any, key: Key, *, recorded: bool = False) -> Terms:
        """One launch. `recorded`: the host has counted this step already."""
        self._check()
        for there, new in zip(_parts(self.buffers), _parts(batch), strict=True):
            there[...] = new
        control = np.zeros(self.control.shape, np.uint32)
        control[:WORDS] = key.words
        for i, (name, holder) in enumerate(self.holders.items()):
            if name in self.moving:
                numbers = self._turned(name, holder, recorded)
                control[WORDS + NUMBERS * i :][: len(numbers)] = np.array(numbers, np.float32).view(np.uint32)
        backend.fill(self.control, control)
        self.graph.launch()
        self.model.vector.raised([slice(0, len(self.model.theta))])
        return dict(self.terms)

    def _turned(self, name: str, holder: Any, recorded: bool) -> tuple[float, ...]:
        if recorded:
            numbers = self.dials[name].set
            assert numbers is not None
            return numbers
        holder.dial = self.dials[name]
        try:
            found: tuple[float, ...] = holder.turn()
        finally:
            holder.dial = None
        return found

    def _check(self) -> None:
        """CaptureError where an array is no longer the one whose address was recorded."""
        for name, shelf, at, array in self.places:
            if shelf.get(at) is not array:
                raise CaptureError(f"{name} is another array than when this step was captured: make a new Captured(model)")


def _named(holders: dict[str, Any], kind: str) -> dict[str, Optimizer | Average]:
    return {f"{kind}/{name}": holder for name, holder in holders.items()}


def _settle(places: list[Place]) -> None:
    """`commit` replaces state, and a graph knows it by its address: the new values go where the old ones were."""
    for _, shelf, at, array in places:
        if shelf[at] is not array:
            combine.copy(shelf[at], array)
            shelf[at] = array


def _places(model: Model) -> Iterator[Place]:
    """(name, the dict that holds it, its key there, array): all that a step reads and that somebody could replace."""
    for name in ("_theta", "_grad"):
        yield name[1:], vars(model.vector), name, getattr(model.vector, name)
    seen = set()
    for root, net in model.nets.items():
        for path, node in net.walk(root):
            if id(node) not in seen:
                seen.add(id(node))
                yield from ((f"{path}.{name}", node.state, name, array) for name, array in node.state.items())
    yield from ((f"state {name}", model.state, name, array) for name, array in model.state.items())


def _parts(batch: Any) -> list[Array]:
    """The arrays of a batch: itself, or those of a tuple."""
    parts = batch if isinstance(batch, tuple) else (batch,)
    return [part for part in parts if part is not None]


def _map(function: Any, batch: Any) -> Any:
    if not isinstance(batch, tuple):
        return function(batch)
    parts: list[Any] = [None if part is None else function(part) for part in batch]
    return type(batch)(*parts) if hasattr(batch, "_fields") else tuple(parts)
