"""A model: networks on one flat vector, the objectives that train them, and a step written out by hand."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import DTypeLike

from ..averaging import Average
from ..backend import Array, device_of, empty, real_dtype, to_device
from ..layers.layer import Layer
from ..layers.vector import Vector, check_disjoint
from ..optim import Optimizer
from ..random import Key
from .objective import Forwards, Objective, Terms, network_of


@dataclass(frozen=True)
class Recipe:
    """How a model is trained when nobody says otherwise: a run's settings, as data."""

    family: str
    data: tuple[str, ...]  # the data sets it is made for, the default first
    batch: int
    steps: int
    rate: float
    lesson: str  # the number of the lesson that derives it
    options: Mapping[str, Any] = field(default_factory=dict)  # arguments of the model, with their defaults
    objectives: tuple[str, ...] = ()  # their names, as `minigen list` shows them without making the model
    by_data: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # data set -> what differs on it: steps, options ...
    proof: Mapping[str, Any] = field(default_factory=dict)  # of one too large to be proved so: rows, options, data_options


def told(options: Mapping[str, Any], traits: Mapping[str, Any]) -> dict[str, Any]:
    """`options` of a model, where those that are None and a trait of its data take the value that the data has."""
    return {name: traits.get(name) if value is None else value for name, value in options.items()}


class Model:
    """Networks by name (also attributes), `theta` and `grad` as flat vectors, objectives, optimisers, and state.

    `state` holds arrays that are not parameters and not a layer's: chains, replay, averages. They change in `commit` alone.
    """

    name: ClassVar[str]
    recipe: ClassVar[Recipe]
    unit: ClassVar[str] = "loss"  # of the terms and of the figures of `evaluate`
    objectives: tuple[Objective, ...] = ()
    uncaptured: ClassVar[str | None] = None  # why a step cannot be captured as a graph (captured.py), where it cannot
    block: int = 64  # samples that are drawn together: sample i does not depend on how many are asked for
    draws: ClassVar[Mapping[str, type]] = MappingProxyType({})  # what `sample` can be told by name: a temperature, a sampler
    traits: Mapping[str, Any] = MappingProxyType({})  # of a model of sequences: what its integers stand for, as its data says

    def __init__(self, key: Key, dtype: DTypeLike = np.float32, *, like: Any = None, **nets: Layer) -> None:
        self.nets: dict[str, Layer] = {}
        self.state: dict[str, Array] = {}
        self.optimizers: dict[str, Optimizer] = {}
        self.averages: dict[str, Average] = {}  # running averages of parameters, moved in commit or after an optimiser's step
        self._hold(nets)
        self.vector = Vector(nets, key, dtype, like=like)

    def _hold(self, nets: Mapping[str, Layer]) -> None:
        self.nets = dict(nets)
        for name, net in nets.items():
            setattr(self, name, net)

    # ---- the vector

    @property
    def theta(self) -> Array:
        """Every parameter, flat. `model.theta += v` moves them all, so caches made before are stale."""
        return self.vector.theta

    @theta.setter
    def theta(self, value: Array) -> None:
        self.vector.theta = value

    @property
    def grad(self) -> Array:
        """Every gradient, flat, in the order of theta. After a `zero_grads`, which writes no zeros yet, ask again."""
        return self.vector.grad

    @grad.setter
    def grad(self, value: Array) -> None:
        self.vector.grad = value

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the parameters."""
        return self.vector.dtype

    def spans(self, *prefixes: str) -> list[slice]:
        """The slices of theta under these paths ("encoder", "decoder.out.W"), for an optimiser."""
        return self.vector.spans(*prefixes)

    def zero_grads(self) -> None:
        """grad = 0, once somebody asks for it (layers/views.py)."""
        self.vector.zero_grads()

    def optimize(self, **optimizers: Optimizer) -> None:
        """Sets the optimisers that `step` uses, by name. Raises ValueError where two would move the same parameters."""
        check_disjoint([span for optimizer in optimizers.values() for span in optimizer.spans], "the optimisers' spans")
        self.optimizers = optimizers

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Within it the parameters that have an average are the averaged ones."""
        with ExitStack() as swapped:
            for average in self.averages.values():
                swapped.enter_context(average.swapped())
            yield

    # ---- training

    def start(self, rate: float, steps: int) -> None:
        """Makes the optimisers for a run of `steps` steps with learning rate `rate`."""
        raise NotImplementedError(f"{type(self).__name__}.start is not written")

    def data_init(self, batch: Any, key: Key) -> None:
        """Sets parameters from a first batch (what `batch_of` gives), once, before step 0. Here nothing starts from data."""

    def step(self, batch: Any, key: Key) -> Terms:
        """One update, written out: draw, zero the gradients, objective, optimiser, commit. Returns the terms of the loss."""
        raise NotImplementedError(f"{type(self).__name__}.step is not written")

    def phase(self) -> Any:
        """What kind of step the next one is, where there are several: each is captured by itself."""
        return ()

    def commit(self, noise: Any, forwards: Forwards) -> None:
        """The only place where state changes: takes the forwards of the networks that were updated, in the order of calls."""
        for call, (_, cache) in forwards.items():
            self.nets[network_of(call)].commit(cache)

    def batch_of(self, batch: Any) -> Any:
        """What the objectives take, of a batch (images, labels, indices): the images."""
        return batch.images

    # ---- what a run shows

    def health(self, batch: Any, key: Key) -> dict[str, Any]:
        """What `metrics.health.health` takes, by name, for a verdict on a game; nothing, where none is played."""
        return {}

    def evaluate(self, batch: Any, key: Key) -> Terms:
        """The figures of a held-out batch, means over its rows: the terms of every objective, by default, without training."""
        terms: Terms = {}
        for objective in self.objectives:
            noise = objective.draw(self, batch, key.at(objective.name))
            terms |= objective(self, batch, noise, train=False, backward=False)[0]
        return terms

    def sample(self, n: int, key: Key) -> Array:
        """n samples (n, H, W, C) in [0, 1], or points (n, D), or sequences (n, T) of integers."""
        raise NotImplementedError(f"{type(self).__name__} does not sample")

    def sample_class(self, labels: Any, key: Key) -> Array:
        """A row of each of these classes (N,). Raises ValueError where the model has no classes, and on a label it has not."""
        remedy = ": train it with --set classes=10" if "classes" in self.recipe.options else ""
        raise ValueError(f"this {self.name} was trained without labels, and draws no class by itself{remedy}")

    def pictures(self, batch: Any, key: Key) -> dict[str, Array]:
        """What a run draws at its milestones, from fixed latents, by name: grids (rows, columns, H, W, C) in [0, 1] or samples.

        By default 64 samples, or 10,000 where samples are points (n, 2).
        """
        samples = self.sample(64, key)
        if samples.ndim == 2:
            return {"samples": self.sample(10_000, key)}
        return {"samples": samples.reshape(8, 8, *samples.shape[1:])}

    # ---- twins

    def astype(self, dtype: DTypeLike) -> Self:
        """A twin with the same values in another dtype, its own vector and no optimisers: the complex step uses one."""
        return self._twin(dtype, self.theta)

    def to(self, device: str) -> Self:
        """A twin on "cpu" or "cuda"."""
        return self._twin(self.dtype, to_device(empty(0), device))

    def _twin(self, dtype: DTypeLike, like: Array) -> Self:
        twin = copy.copy(self)
        twin._hold(copy.deepcopy(self.nets))  # one call: parts that are shared stay shared
        twin.vector = Vector(twin.nets, None, dtype, like=like)
        real, device = real_dtype(dtype), device_of(like)
        state = {n: v.astype(real) if v.dtype.kind == "f" else v.copy() for n, v in self.state.items()}
        twin.state = {n: to_device(v, device) for n, v in state.items()}
        twin.optimizers, twin.averages = {}, {}
        return twin
