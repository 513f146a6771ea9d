"""EqualisedRate: W = raw gain / sqrt(fan_in), a factor in place of a scaled first value (Karras et al. 2018, section 4.1).

With raw ~ N(0, 1) the first W is He's, but now every raw number is of size 1: Adam, whose steps do not know how large a
parameter is, then changes all layers at an equal rate.

    backward  draw = dW gain / sqrt(fan_in)
"""

from __future__ import annotations

import math

from ..backend import Array
from .initialisers import fan_in
from .linear_map import LinearMap, LinearMapCache


class EqualisedRate(LinearMap):
    """Layer(..., initialiser=normal(1.0)).compute("W", EqualisedRate()): the effective weight is W gain / sqrt(fan_in).

    fan_in is the product of all axes of W but the last, unless it is given (a transposed convolution's is another). gain
    sqrt(2) is for ReLU and its kin; take 1 for the last, linear layer.
    """

    def __init__(self, gain: float = math.sqrt(2), *, fan_in: int | None = None) -> None:
        super().__init__()
        self.gain, self.fan_in = gain, fan_in

    def there(self, x: Array, cache: LinearMapCache) -> Array:
        return x * (self.gain / math.sqrt(self.fan_in or fan_in(x.shape)))

    def back(self, dy: Array, cache: LinearMapCache) -> Array:
        return self.there(dy, cache)
