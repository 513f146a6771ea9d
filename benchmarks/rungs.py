"""The rungs of a case of `benchmarks.kernels`, each behind a gate: what it computes is compared with the float64 definition."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np

from benchmarks.guard import relative_error
from benchmarks.kernel_cases import Case
from minigen.kernels.conv2d.geometry import geometry
from minigen.kernels.dispatch import Ladder
from minigen.kernels.matmul import FEW
from minigen.kernels.tally import tally

GATE = 2e-5  # the largest error that is let pass, of numbers summed in float32


def ladder(case: Case) -> Ladder:
    """The ladder of its operation."""
    found: Ladder = import_module(f"minigen.kernels.{case.operation}").LADDER
    return found


def winograd_fits(rung: Any, case: Case) -> bool:
    """Whether Winograd's kernels can do this convolution."""
    arguments, options = case.make()
    first, second, *rest = arguments
    if case.function == "forward":
        image, kernel, outputs = first.shape, second.shape, second.shape[3]
    elif case.function == "input_gradient":
        image, kernel, outputs = rest[0], second.shape, first.shape[3]
    else:
        image, kernel, outputs = first.shape, rest[0], second.shape[3]
    groups = options["groups"]
    sizes = {name: options[name] for name in ("stride", "padding", "dilation")}
    return bool(rung.fits(geometry(image[1:3], kernel[:2], **sizes), image[3] // groups, outputs, groups))


def few_fits(rung: Any, case: Case) -> bool:
    """Whether the product has so few rows, or so few columns and rows."""
    m, k, *_ = case.blas
    return min(m, k) <= FEW


# rungs beside the ladder's, and what they can do
PARTIAL = {"conv2d": {"winograd": winograd_fits}, "matmul": {"few": few_fits}}


class Rungs:
    """A case's rungs, and what they must compute."""

    def __init__(self, case: Case) -> None:
        self.case, self.ladder = case, ladder(case)
        arguments, options = case.make()
        widened = [wide(x) for x in arguments]
        exact = {name: wide(x) for name, x in options.items() if name != "out"}
        definition = self.ladder.load(self.ladder.definition)
        made = getattr(definition, case.function)(*widened, **exact)
        self.expected = self.outputs(tuple(widened), made)
        arguments, options = case.make()
        with tally() as seen:
            getattr(import_module(definition.__package__), case.function)(*arguments, **options)
        self.work = seen[0]
        self.chosen = seen[0].rung  # by the library, at this shape

    @property
    def names(self) -> list[str]:
        """The ladder's rungs, and those that do some shapes only where this is one."""
        partial = [
            name for name, fits in PARTIAL.get(self.case.operation, {}).items() if fits(self.ladder.load(name), self.case)
        ]
        return [*self.ladder.names, *partial]

    def outputs(self, arguments: tuple[Any, ...], made: Any) -> list[Any]:
        """The arrays that a call made: what it changed in place, and what it returned."""
        returned = [x for x in (made if isinstance(made, tuple | list) else [made]) if isinstance(x, np.ndarray)]
        return [arguments[i] for i in self.case.changes] + returned

    def error(self, outputs: list[Any]) -> float:
        """The largest relative error; None stands for what a peer does not make."""
        assert len(outputs) == len(self.expected)
        pairs = zip(outputs, self.expected, strict=True)
        return max(relative_error(got, expected) for got, expected in pairs if got is not None)

    def gate(self, who: str, error: float) -> float:
        """`error`, or AssertionError where it is too large."""
        what = f"{self.case.name} {self.case.shape}, {who}"
        assert error <= GATE, f"{what}: {error:.1e} from the float64 definition, {GATE:.0e} is allowed"
        return error

    def call(self, rung: str) -> tuple[Any, float]:
        """A call that can be timed, and its error."""
        function = getattr(self.ladder.load(rung), self.case.function)
        arguments, options = self.case.make()
        error = self.error(self.outputs(arguments, function(*arguments, **options)))
        return (lambda: function(*arguments, **options)), self.gate(rung, error)

    def peers(self) -> dict[str, Any]:
        """PyTorch's calls, each past the gate."""
        calls = {}
        for name, peer in self.case.peers(self.case.make()[0]).items():
            if (value := peer.value()) is not None:
                self.gate(f"PyTorch {name}", self.error(value))
            calls[name] = peer.call
        return calls


def wide(x: Any) -> Any:
    """In float64, where it is an array or a type of numbers."""
    if isinstance(x, np.ndarray):
        return x.astype(np.float64) if x.dtype.kind == "f" else x
    return np.dtype(np.float64) if isinstance(x, np.dtype) else x
