"""Augmentation as layers: random changes of an image that keep what it shows, drawn per image from the key.

In training a key decides the change of each image, and the same key makes the same change; in evaluation nothing is changed
(RandomCrop takes the middle). Given the key each change is linear in x, so gradients pass through it: a discriminator may see
augmented samples while the generator learns through them (Zhao et al. 2020, "Differentiable augmentation"). Real and generated
images are to be changed alike, from keys of their own.

    dx = A' dy,   y_dot = A x_dot,   dx_dot = A' dy_dot

What comes in from outside an image, and what is cut out, is 0: black for images in [0, 1], grey for images in [-1, 1].

N batch, H, W size, C channels, h, w size after a crop.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from ..backend import Array, Shape, array_module, real_dtype
from ..kernels import combine, window
from ..kernels.sums import over_rows
from ..random import Key
from .linear_map import LinearMap, check_images


class _Augmentation(LinearMap):
    """What all have in common: `draw` makes the cache in training, `fix` in evaluation; None is the identity."""

    def draw(self, x: Array, key: Key) -> Any:
        """The change of each image of x."""
        raise NotImplementedError(f"{type(self).__name__}.draw is not written")

    def fix(self, x: Array) -> Any:
        return None

    def forward(self, x: Array, *, train: bool = False, key: Key | None = None) -> tuple[Array, Any]:
        check_images(type(self).__name__, x)
        cache = self.draw(x, self.need(key)) if train else self.fix(x)
        return self.there(x, cache), cache


class WindowCache(NamedTuple):
    shape: Shape  # of x
    top: Array  # (N,) int64: row i of y is row i + top of x
    left: Array  # (N,) int64


class RandomShift(_Augmentation):
    """(N, H, W, C) -> the same shape, moved by up to `pixels` in each direction, all whole moves equally likely."""

    def __init__(self, pixels: int) -> None:
        super().__init__()
        if pixels < 0:
            raise ValueError(f"RandomShift({pixels}): the farthest shift is at least 0 pixels")
        self.pixels = pixels

    def draw(self, x: Array, key: Key) -> WindowCache:
        places, start = 2 * self.pixels + 1, -self.pixels
        return WindowCache(x.shape, *(key.at(name).integers(places, len(x), start=start, like=x) for name in ("top", "left")))

    def there(self, x: Array, cache: WindowCache | None) -> Array:
        return x if cache is None else window.cut(x, cache.top, cache.left, *x.shape[1:3])

    def back(self, dy: Array, cache: WindowCache | None) -> Array:
        return dy if cache is None else window.cut(dy, cache.top, cache.left, *cache.shape[1:3], sign=-1)


class RandomCrop(_Augmentation):
    """(N, H, W, C) -> (N, size, size, C): a window of the image framed by `padding` zeros, all places equally likely.

    In evaluation the window is in the middle. Raises ValueError where the framed image is smaller than the window.
    """

    def __init__(self, size: int, padding: int = 0) -> None:
        super().__init__()
        if size < 1 or padding < 0:
            raise ValueError(f"RandomCrop({size}, {padding}): size is at least 1 and padding at least 0")
        self.size, self.padding = size, padding

    def room(self, x: Array) -> tuple[int, int]:
        """How many places the window has, by rows and by columns, less one."""
        rows, columns = (side + 2 * self.padding - self.size for side in x.shape[1:3])
        if rows < 0 or columns < 0:
            raise ValueError(f"RandomCrop({self.size}, {self.padding}) got x of shape {x.shape}, which is too small")
        return rows, columns

    def fix(self, x: Array) -> WindowCache:
        rows, columns = self.room(x)
        none = array_module(x).zeros(len(x), np.int64)
        return WindowCache(x.shape, none + (rows // 2 - self.padding), none + (columns // 2 - self.padding))

    def draw(self, x: Array, key: Key) -> WindowCache:
        rows, columns = self.room(x)
        top = key.at("top").integers(rows + 1, len(x), start=-self.padding, like=x)
        left = key.at("left").integers(columns + 1, len(x), start=-self.padding, like=x)
        return WindowCache(x.shape, top, left)

    def there(self, x: Array, cache: WindowCache) -> Array:
        return window.cut(x, cache.top, cache.left, self.size, self.size)

    def back(self, dy: Array, cache: WindowCache) -> Array:
        return window.cut(dy, cache.top, cache.left, *cache.shape[1:3], sign=-1)


class MaskCache(NamedTuple):
    mask: Array  # (N, 1, 1, 1) bool, or (N, H, W, 1) with 0 where nothing is kept, else 1


class RandomFlip(_Augmentation):
    """Left and right change places with probability `p`. It is its own transpose."""

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        if not 0 <= p <= 1:
            raise ValueError(f"RandomFlip({p}): p is a probability")
        self.p = p

    def draw(self, x: Array, key: Key) -> MaskCache:
        return MaskCache(key.bernoulli(self.p, (len(x), 1, 1, 1), like=x))

    def there(self, x: Array, cache: MaskCache | None) -> Array:
        return x if cache is None else np.where(cache.mask, x[:, :, ::-1], x)

    def back(self, dy: Array, cache: MaskCache | None) -> Array:
        return self.there(dy, cache)


class Cutout(_Augmentation):
    """A square of `size` pixels becomes 0, its middle anywhere in the image, what is outside cut off (DeVries and Taylor 2017).

    It is its own transpose.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        if size < 1:
            raise ValueError(f"Cutout({size}): the square is at least 1 pixel")
        self.size = size

    def draw(self, x: Array, key: Key) -> MaskCache:
        sides = []
        for name, n in zip(("row", "column"), x.shape[1:3], strict=True):
            first = key.at(name).integers(n, (len(x), 1), start=-(self.size // 2), like=x)  # (N, 1)
            place = array_module(x).arange(n)  # (n,)
            sides.append((place >= first) & (place < first + self.size))  # (N, n)
        kept = ~(sides[0][:, :, None, None] & sides[1][:, None, :, None])
        return MaskCache(kept.astype(real_dtype(x.dtype)))

    def there(self, x: Array, cache: MaskCache | None) -> Array:
        return x if cache is None else combine.add((cache.mask, x))

    def back(self, dy: Array, cache: MaskCache | None) -> Array:
        return self.there(dy, cache)


class AmountCache(NamedTuple):
    amount: Array  # (N, 1, 1, 1)


class Brightness(_Augmentation):
    """y = x + b, b uniform on [-strength, strength): not linear, but what moves is, and its derivative is the identity."""

    def __init__(self, strength: float = 0.5) -> None:
        super().__init__()
        self.strength = strength

    def draw(self, x: Array, key: Key) -> AmountCache:
        return AmountCache((key.uniform((len(x), 1, 1, 1), like=x) * 2 - 1) * self.strength)

    def forward(self, x: Array, *, train: bool = False, key: Key | None = None) -> tuple[Array, AmountCache | None]:
        y, cache = super().forward(x, train=train, key=key)
        return y if cache is None else combine.add(y, cache.amount), cache

    def there(self, x: Array, cache: AmountCache | None) -> Array:
        return x

    def back(self, dy: Array, cache: AmountCache | None) -> Array:
        return dy


class Contrast(_Augmentation):
    """y = m + c (x - m), m the mean of the image, c uniform on [1 - strength, 1 + strength). It is its own transpose."""

    axes: tuple[int, ...] = (1, 2, 3)  # of the mean: the last ones

    def __init__(self, strength: float = 0.5) -> None:
        super().__init__()
        self.strength = strength

    def draw(self, x: Array, key: Key) -> AmountCache:
        return AmountCache(1 + (key.uniform((len(x), 1, 1, 1), like=x) * 2 - 1) * self.strength)

    def there(self, x: Array, cache: AmountCache | None) -> Array:
        if cache is None:
            return x
        c, of_each = cache.amount, x.shape[: self.axes[0]]
        n = math.prod(x.shape[self.axes[0] :])
        total = over_rows(x.reshape(math.prod(of_each), n, 1)).reshape(*of_each, *(1 for _ in self.axes))
        m = combine.add((1 / n, total))
        return combine.add((c, x), m, (-1, c, m))

    def back(self, dy: Array, cache: AmountCache | None) -> Array:
        return self.there(dy, cache)


class Saturation(Contrast):
    """The same with m the mean of each pixel's channels, by default with c on [0, 2): 0 is grey, 1 leaves the image."""

    axes = (3,)

    def __init__(self, strength: float = 1.0) -> None:
        super().__init__(strength)
