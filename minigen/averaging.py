"""Running averages of parameters, which stand still where the parameters themselves wander.

    average = Average(model, decay=0.999)
    average.update()                                # after an optimiser's step
    with average.swapped():                         # the model has the averaged parameters
        samples = model.sample(64, key)

What a model keeps in its `averages` is saved and resumed with it, and `model.averaged()` swaps all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from .backend import Array
from .kernels import average as average_kernel
from .kernels.average import cuda as average_cuda
from .optim import Dial, HasVector, named_slices


class Average:
    """A running average of parameters: average += (1 - decay) (theta - average).

    The first updates use a smaller decay, (1 + t) / (10 + t), so that the start is forgotten.
    """

    dial: Dial | None = None  # of a captured step

    def __init__(self, owner: HasVector, spans: Iterable[slice] | None = None, decay: float = 0.999) -> None:
        assert owner.vector is not None
        self.vector, self.decay, self.t = owner.vector, decay, 0
        self.spans = self.vector.spans("") if spans is None else list(spans)
        self.values = [self.vector.theta[span].copy() for span in self.spans]

    def restart(self) -> None:
        """Averages from theta as it is now."""
        self.t = 0
        for span, value in zip(self.spans, self.values, strict=True):
            value[...] = self.vector.theta[span]

    def turn(self) -> tuple[float, ...]:
        """The share of the next step, which is then counted."""
        decay = min(self.decay, (1 + self.t) / (10 + self.t))
        self.t += 1
        return (1 - decay,)

    def update(self) -> None:
        """One step towards theta."""
        (share,) = numbers = self.turn()
        there = None if self.dial is None else self.dial.turned(numbers)
        for span, value in zip(self.spans, self.values, strict=True):
            if there is None:
                average_kernel.step(value, self.vector.theta[span], share)
            else:
                average_cuda.step_read(value, self.vector.theta[span], there)

    @contextmanager
    def swapped(self) -> Iterator[None]:
        """Within it the model has the averaged parameters."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def _swap(self) -> None:
        for span, value in zip(self.spans, self.values, strict=True):
            current = self.vector.theta[span].copy()
            self.vector.theta[span] = value
            value[...] = current  # in place: a captured step knows both by their addresses
        self.vector.raised(self.spans)

    def named_state(self) -> Iterator[tuple[str, Array]]:
        """(path, averaged parameter), in place."""
        yield from named_slices(self.vector, self.spans, self.values)
