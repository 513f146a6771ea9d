"""Bijections that only move numbers to other places: a permutation P of each row, whose transpose is its inverse.

    z = P x        logdet = log |det P| = 0        x = P' z        dx = P' dz

The way back of the one is the way there of the other, so such a layer is two functions: `there` and `back`.

N batch, C channels, "..." any number of axes between them.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..backend import Array
from ..random import Key
from .bijection import Bijection
from .tree import map_tree

Gradients = tuple[Array | None, Array | None]  # of z and of logdet


class Rearrangement(Bijection):
    """The four passes and the inverse of z = P x, from `there` and `back`. There is nothing to keep: the cache is empty."""

    def there(self, x: Array) -> Array:
        """P x. Raises ValueError where the shape does not fit."""
        raise NotImplementedError(f"{type(self).__name__}.there is not written")

    def back(self, z: Array) -> Array:
        """P' z. Raises ValueError where the shape does not fit."""
        raise NotImplementedError(f"{type(self).__name__}.back is not written")

    def forward(self, x: Array, *, train: bool = False, key: Key | None = None) -> tuple[tuple[Array, int], None]:
        return (self.there(x), 0), None

    def inverse(self, z: Array) -> tuple[Array, int]:
        return self.back(z), 0

    def backward(self, dy: Gradients, cache: None, *, need_dx: bool = True, param_grads: bool = True) -> Array | None:
        return map_tree(self.back, dy[0]) if need_dx else None  # logdet is a constant: its gradient goes nowhere

    def jvp(self, x_dot: Array, cache: None, *, move_params: bool = False) -> tuple[tuple[Array, int], None]:
        return (self.there(x_dot), 0), None

    def backward_jvp(
        self,
        dy: Gradients,
        dy_dot: Gradients,
        cache: None,
        tangents: None,
        *,
        need_dx: bool = True,
        param_grads: bool = True,
    ) -> Gradients:
        return map_tree(self.back, (dy[0], dy_dot[0])) if need_dx else (None, None)


class Permute(Rearrangement):
    """(N, ..., C) -> z_c = x_order(c), and logdet 0: the channels in a fixed order, such as reversed, `range(C)[::-1]`.

    Between couplings it sees to it that every channel is moved in its turn (Kingma and Dhariwal 2018, figure 3, compare
    reversal, a random order and a learned mixture). Raises ValueError where `order` is not one of 0 .. C - 1, or x has another
    number of channels.
    """

    def __init__(self, order: Iterable[int]) -> None:
        super().__init__()
        self.order = [int(c) for c in order]
        if sorted(self.order) != list(range(len(self.order))):
            raise ValueError(f"Permute({self.order}): an order has each of 0 .. {len(self.order) - 1} once")
        self.home = sorted(range(len(self.order)), key=self.order.__getitem__)  # where each channel has gone

    def there(self, x: Array) -> Array:
        if x.shape[-1] != len(self.order):
            raise ValueError(f"Permute of {len(self.order)} channels got x of shape {x.shape}")
        return x[..., self.order]

    def back(self, z: Array) -> Array:
        return z[..., self.home]
