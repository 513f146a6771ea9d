"""Linear maps without parameters: y = A x, where A is fixed once x is known (its shape, or which of its numbers are largest).

    backward      dx = A' dy
    jvp           y_dot = A x_dot
    backward_jvp  dx_dot = A' dy_dot

So such a layer is two functions: `there`, which applies A, and `back`, which applies its transpose. What fixes A is the cache,
and it has no tangent: the tangents are the cache itself.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ..backend import Array, Shape
from ..random import Key
from .layer import Layer


class LinearMapCache(NamedTuple):
    shape: Shape  # of x


class LinearMap(Layer):
    """The four passes of y = A x, from `there` and `back`."""

    takes_still = True

    def fix(self, x: Array) -> Any:
        """What fixes A: the shape of x. Raises ValueError where the shape does not fit."""
        return LinearMapCache(x.shape)

    def there(self, x: Array, cache: Any) -> Array:
        """A x."""
        raise NotImplementedError(f"{type(self).__name__}.there is not written")

    def back(self, dy: Array, cache: Any) -> Array:
        """A' dy."""
        raise NotImplementedError(f"{type(self).__name__}.back is not written")

    def forward(self, x: Array, *, train: bool = False, key: Key | None = None) -> tuple[Array, Any]:
        cache = self.fix(x)
        return self.there(x, cache), cache

    def backward(self, dy: Array, cache: Any, *, need_dx: bool = True, param_grads: bool = True) -> Array | None:
        return self.back(dy, cache) if need_dx else None

    def jvp(self, x_dot: Array, cache: Any, *, move_params: bool = False) -> tuple[Array, Any]:
        return self.there(x_dot, cache), cache

    def backward_jvp(
        self, dy: Array, dy_dot: Array | None, cache: Any, tangents: Any, *, need_dx: bool = True, param_grads: bool = True
    ) -> tuple[Array | None, Array | None]:
        if not need_dx:
            return None, None
        return self.back(dy, cache), None if dy_dot is None else self.back(dy_dot, cache)


def check_images(layer: str, x: Array) -> None:
    """ValueError unless x is (N, H, W, C) with at least one pixel."""
    if x.ndim != 4 or not (x.shape[1] and x.shape[2]):
        raise ValueError(f"{layer} got x of shape {x.shape}: it takes images (N, H, W, C)")
