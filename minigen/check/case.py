"""What a case is: how to make a layer or a loss, and what goes in, at given sizes.

The property suite draws sizes (1, primes, a tile plus or minus one) for the cases, and the mutator uses `SMALL`.

N rows; a, b, c counts of channels or features; h, w the sides of an image, T positions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ..backend import Array
from ..layers.layer import Layer
from ..random import Key


class Sizes(NamedTuple):
    """Everything a case may take its shapes from."""

    N: int
    a: int
    b: int
    c: int
    h: int
    w: int
    T: int
    seed: int

    def ids(self, shape: tuple[int, ...], below: int) -> Any:
        """Random integers, as labels and tokens are."""
        return Key(self.seed).at("ids").integers(below, shape)


SMALL = Sizes(N=3, a=5, b=4, c=2, h=6, w=7, T=8, seed=0)  # all different: exchanged axes are noticed


@dataclass(frozen=True)
class Case:
    """A layer at given sizes."""

    name: str
    cls: type[Layer]
    make: Callable[[Sizes], Layer]
    x: Callable[[Sizes], Any]
    skip: Mapping[str, str] = field(default_factory=dict)  # property -> why it does not apply
    reference: Callable[[Any, Any], Any] | None = None  # (layer, x) -> y, without training, as plainly as can be
    trained: Callable[[Any, Any, Any], Any] | None = None  # (layer, x, cache) -> y in training, at the noise of the cache
    committed: Callable[[Any, Any], dict[str, Array]] | None = None  # (layer, x) -> its state after a training step


@dataclass(frozen=True)
class LossCase:
    """A loss at given sizes: itself and its companion, if it has one, its arguments, and a plain definition of its value.

    `make` looks them up in their module when it is called, so that the mutator can put another function there.
    """

    name: str
    make: Callable[[], tuple[Callable[..., Any], Callable[..., Any] | None]]
    args: Callable[[Sizes], tuple[Any, ...]]
    reference: Callable[..., Any]
    large: float | None = None  # its logits may be so large


def rows(s: Sizes) -> Any:
    """(N, a)."""
    return s.N, s.a


def sequence(s: Sizes) -> Any:
    """(N, T, a)."""
    return s.N, s.T, s.a


def image(s: Sizes) -> Any:
    """(N, h + 2, w + 2, a): large enough for a kernel of 3."""
    return s.N, s.h + 2, s.w + 2, s.a
