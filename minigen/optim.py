"""Update rules over slices of a flat vector, clipping, and schedules of the learning rate.

    adam = Adam(model, model.spans("generator"), 2e-4, betas=(0.5, 0.999))
    adam.step()                                     # theta moves by grad; caches made before are stale

An optimiser never zeroes gradients and never computes any: a model's `step` says when.
P parameters in a slice.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol, TypeAlias

from .backend import Array, CaptureError, aligned_zeros
from .kernels import adam as adam_kernel
from .kernels import clip as clip_kernel
from .kernels import sgd as sgd_kernel
from .kernels.adam import cuda as adam_cuda
from .kernels.sgd import cuda as sgd_cuda
from .layers.vector import Vector, check_disjoint

Schedule: TypeAlias = Callable[[int], float]  # number of steps already taken -> learning rate


class HasVector(Protocol):
    """A model, or a network that was laid out by itself."""

    @property
    def vector(self) -> Vector | None:
        """Where its parameters lie."""


class Dial:
    """Where a captured step reads the numbers that change from step to step: in the device's memory.

    An optimiser and an average that hold one still work their numbers out on the host, and leave them in `set`.
    """

    def __init__(self, there: Array) -> None:
        self.there = there  # (n,) float32
        self.set: tuple[float, ...] | None = None  # what this step's numbers must be; None where nobody asked

    def turned(self, numbers: tuple[float, ...]) -> Array:
        """The numbers' place. Raises CaptureError where they are asked for twice in a step: there is one place."""
        if self.set is not None:
            raise CaptureError("an optimiser or an average moves twice within one captured step: train it with --eager")
        self.set = numbers
        return self.there


class Optimizer:
    """Moves the parameters in `spans` against their gradients. `t` counts the steps taken."""

    moments: tuple[str, ...] = ()  # the names of its running statistics, one vector a span
    dial: Dial | None = None  # of a captured step

    def __init__(self, owner: HasVector, spans: Iterable[slice] | None, rate: float | Schedule) -> None:
        if owner.vector is None:
            raise ValueError(f"{type(owner).__name__} has no vector: lay it out first, with initialise(key)")
        self.vector = owner.vector
        self.spans = self.vector.spans("") if spans is None else list(spans)
        check_disjoint(self.spans, f"{type(self).__name__}: spans")
        self.rate, self.t = rate, 0
        self._moments = {
            name: [aligned_zeros(s.stop - s.start, self.vector.dtype, like=self.vector.theta) for s in self.spans]
            for name in self.moments
        }

    @property
    def current_rate(self) -> float:
        """The learning rate of the next step."""
        return float(self.rate(self.t) if callable(self.rate) else self.rate)

    def turn(self) -> tuple[float, ...]:
        """The numbers of the next step, which is then counted."""
        rate = self.current_rate
        self.t += 1
        return self._numbers(rate)

    def _numbers(self, rate: float) -> tuple[float, ...]:
        """What the update takes at step `t`."""
        return (rate,)

    def step(self) -> None:
        """One update of every span."""
        numbers: Any = self.turn()
        if self.dial is not None:
            numbers = self.dial.turned(numbers)
        for i, span in enumerate(self.spans):
            moments = {name: vectors[i] for name, vectors in self._moments.items()}
            self._update(self.vector.theta[span], self.vector.filled(span), numbers, **moments)
        self.vector.raised(self.spans)

    def _update(self, theta: Array, grad: Array, numbers: Any, **moments: Array) -> None:
        """`numbers`: those of the step, a tuple, or of a captured one an array in the device's memory."""
        raise NotImplementedError

    def named_state(self) -> Iterator[tuple[str, Array]]:
        """("m.encoder.W", view of that parameter's statistic): what a checkpoint saves, by name and in place."""
        for name, vectors in self._moments.items():
            yield from ((f"{name}.{path}", array) for path, array in named_slices(self.vector, self.spans, vectors))


def named_slices(vector: Vector, spans: list[slice], vectors: list[Array]) -> Iterator[tuple[str, Array]]:
    """(path, view) of every parameter in `spans`, looking into vectors that are laid out like those spans."""
    seen = set()
    for path, place in vector.places.items():
        for span, values in zip(spans, vectors, strict=True):
            if span.start <= place.start and place.stop <= span.stop and place not in seen:
                seen.add(place)
                yield path, values[place.start - span.start : place.stop - span.start].reshape(place.shape)


class SGD(Optimizer):
    """v = momentum v + g, theta -= rate v (Polyak 1964); plain descent at momentum 0."""

    def __init__(
        self, owner: HasVector, spans: Iterable[slice] | None = None, rate: float | Schedule = 1e-2, *, momentum: float = 0.0
    ) -> None:
        self.momentum = momentum
        self.moments = ("v",) if momentum else ()
        super().__init__(owner, spans, rate)

    def _update(self, theta: Array, grad: Array, numbers: Any, **moments: Array) -> None:
        v = moments.get("v")
        if isinstance(numbers, tuple):
            sgd_kernel.step(theta, grad, v, rate=numbers[0], momentum=self.momentum)
        else:
            sgd_cuda.step_read(theta, grad, v, numbers, self.momentum)


class Adam(Optimizer):
    """Adam with bias correction (Kingma and Ba 2015, algorithm 1):

    m = b1 m + (1 - b1) g,  v = b2 v + (1 - b2) g^2,  theta -= rate (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps)
    """

    moments = ("m", "v")
    weight_decay = 0.0

    def __init__(
        self,
        owner: HasVector,
        spans: Iterable[slice] | None = None,
        rate: float | Schedule = 1e-3,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        super().__init__(owner, spans, rate)
        self.betas, self.eps = betas, eps

    def _numbers(self, rate: float) -> tuple[float, ...]:
        return (rate,) if self.dial is None else adam_cuda.numbers(**self._options(rate))

    def _options(self, rate: float) -> dict[str, Any]:
        beta1, beta2 = self.betas
        return {
            "rate": rate, "beta1": beta1, "beta2": beta2, "eps": self.eps, "weight_decay": self.weight_decay, "t": self.t,
        }  # fmt: skip

    def _update(self, theta: Array, grad: Array, numbers: Any, **moments: Array) -> None:
        if isinstance(numbers, tuple):
            adam_kernel.step(theta, grad, moments["m"], moments["v"], **self._options(numbers[0]))
        else:
            adam_cuda.step_read(theta, grad, moments["m"], moments["v"], numbers)


class AdamW(Adam):
    """Adam, and theta shrinks by rate weight_decay theta beside it (Loshchilov and Hutter 2019)."""

    def __init__(
        self,
        owner: HasVector,
        spans: Iterable[slice] | None = None,
        rate: float | Schedule = 1e-3,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
    ) -> None:
        super().__init__(owner, spans, rate, betas=betas, eps=eps)
        self.weight_decay = weight_decay


# ---- clipping


def clip_norm(owner: HasVector, spans: Iterable[slice], limit: float) -> Any:
    """Scales the gradients in `spans` together so that their norm is at most `limit`; returns the norm before.

    On a GPU the norm is an array of no axes: what it decides, a multiplication by min(1, limit / norm), is decided there.
    """
    assert owner.vector is not None
    return clip_kernel.to_norm(*(owner.vector.filled(span) for span in spans), limit=limit)


def clip_values(owner: HasVector, spans: Iterable[slice], limit: float) -> None:
    """theta = min(max(theta, -limit), limit) in `spans`: the parameters themselves, after a step (Arjovsky et al. 2017)."""
    assert owner.vector is not None
    spans = list(spans)
    for span in spans:
        clip_kernel.to_range(owner.vector.theta[span], limit)
    owner.vector.raised(spans)


# ---- schedules


def warmup(rate: float, steps: int) -> Schedule:
    """Rises in a straight line to `rate` over the first `steps` steps."""
    return lambda t: rate * min(1.0, (t + 1) / max(1, steps))


def linear_decay(rate: float, steps: int, final: float = 0.0) -> Schedule:
    """Falls in a straight line from `rate` to `final` over `steps` steps."""
    return lambda t: rate + (final - rate) * min(1.0, t / max(1, steps))


def cosine_decay(rate: float, steps: int, final: float = 0.0) -> Schedule:
    """final + (rate - final) (1 + cos(pi t / steps)) / 2 (Loshchilov and Hutter 2017)."""
    return lambda t: final + (rate - final) * 0.5 * (1 + math.cos(math.pi * min(1.0, t / max(1, steps))))


def step_decay(rate: float, every: int, factor: float = 0.1) -> Schedule:
    """`rate` times `factor` for every `every` steps taken."""
    return lambda t: rate * factor ** (t // every)
