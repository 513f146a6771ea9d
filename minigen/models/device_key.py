"""A key whose words lie in a GPU's memory: the random numbers of a captured step.

A captured graph is the same launches every time, so a key's words cannot be arguments of them. Here a draw reads them where
they lie, and a child is made there, by the same cipher. A step is handed one key anew; all others are derived from it on the
device, and every number is that of a `Key` with these words.
"""

from __future__ import annotations

import math
from typing import Any, NoReturn

import numpy as np
from numpy.typing import DTypeLike

from ..backend import Array, CaptureError, Shape, array_module
from ..kernels.philox import cuda as kernel
from ..random import Key, as_chances, as_count, as_shape, use_of


class DeviceKey(Key):
    """The key of four words (4,) uint32 in the device's memory.

    It draws float32 numbers, words and permutations on that device. What would need its words on the host (a draw on the CPU or
    in float64, a comparison) is a CaptureError.
    """

    __slots__ = ("_there",)
    _there: Array | tuple[DeviceKey, str | int]  # the words, or parent and name where nobody has needed them yet

    def __init__(self, there: Array | tuple[DeviceKey, str | int]) -> None:
        object.__setattr__(self, "_there", there)

    @property
    def there(self) -> Array:
        """The words, in the device's memory."""
        if isinstance(self._there, tuple):
            parent, name = self._there
            object.__setattr__(self, "_there", kernel.child(parent.there, *use_of(name)))
        assert not isinstance(self._there, tuple)
        return self._there

    @property
    def words(self) -> NoReturn:
        """Not on the host."""
        raise CaptureError("a captured step asks for a key's words on the host (a comparison of keys)")

    def __repr__(self) -> str:
        return "DeviceKey()"

    def at(self, *path: str | int) -> DeviceKey:
        key = self
        for name in path:
            key = DeviceKey((key, name if isinstance(name, str) else int(name)))
        return key

    def bits(self, shape: int | Shape, *, like: Any = None) -> Array:
        return self._drawn(kernel.words, shape, None, like)

    def uniform(self, shape: int | Shape, dtype: DTypeLike | None = None, *, like: Any = None) -> Array:
        return self._drawn(kernel.uniform, shape, dtype, like)

    def normal(self, shape: int | Shape, dtype: DTypeLike | None = None, *, like: Any = None) -> Array:
        return self._drawn(kernel.normal, shape, dtype, like)

    def bernoulli(self, p: Any, shape: int | Shape | None = None, dtype: DTypeLike = np.bool_, *, like: Any = None) -> Array:
        p, shape, like = as_chances(p, shape, like)
        there = self._on_device_of(like, shape)
        if np.dtype(dtype) not in (np.bool_, np.float32) or getattr(p, "dtype", np.float32) != np.float32:
            raise CaptureError("a captured step draws events as booleans or in float32, of probabilities in float32")
        return kernel.bernoulli(there, p, math.prod(shape), np.dtype(dtype), like=like).reshape(shape)

    def integers(self, high: int, shape: int | Shape, *, start: int = 0, like: Any = None) -> Array:
        high, shape = as_count(high), as_shape(shape)
        return kernel.integers(self._on_device_of(like, shape), high, math.prod(shape), start=start, like=like).reshape(shape)

    def _drawn(self, draw: Any, shape: int | Shape, dtype: DTypeLike | None, like: Any) -> Array:
        shape = as_shape(shape)
        there = self._on_device_of(like, shape)
        if np.dtype(dtype if dtype is not None else like.real.dtype if like.dtype.kind in "fc" else np.float32) != np.float32:
            raise CaptureError("a captured step draws float32 numbers alone")
        n = math.prod(shape)
        number = () if draw is kernel.words else (np.dtype(np.float32),)
        drawn: Array = draw(there, n, *number, like=like)
        return drawn.reshape(shape)

    def _on_device_of(self, like: Any, shape: Shape) -> Any:
        """The words for a draw of numbers like `like`."""
        if like is None or array_module(like) is np:
            raise CaptureError(f"a captured step draws {shape} numbers on the CPU: they would be the same in every step")
        return self.there
