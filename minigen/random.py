"""Keys: counter-based random numbers, the same integers on every device.

A `Key` is a number, not a generator: it has no state to advance, so a forward pass that draws noise changes nothing, a check
can evaluate a loss again, and a run resumes from a number. Children are made by name, not by order:

    key = Key(0)
    noise = key.at("step", 12, "dropout1").normal((8, 20))

The generator is Philox-4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"): ten rounds of a small
block cipher that turn (128-bit counter, 64-bit key) into four 32-bit words. A `Key` is 128 bits: the cipher's key (64) and the
upper half of its counter (64). The lower half of the counter numbers the blocks of one draw.

Legend: n numbers drawn, B blocks of four words.
"""

from __future__ import annotations

import hashlib
import math
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import DTypeLike

from .backend import Array, Shape, real_dtype
from .kernels import philox as _kernel
from .kernels.philox.definition import philox

Name: TypeAlias = str | int | tuple[str | int, ...]

# The four uses of the cipher must never meet at one (counter, key): each has a constant that its key is XORed with.
_DRAW, _CHILD_OF_STR, _CHILD_OF_INT = (0, 0), (0x6D696E69, 0x67656E00), (0x6D696E69, 0x67656E01)


class _Words(NamedTuple):
    k0: int
    k1: int  # the cipher's key
    c2: int
    c3: int  # the upper half of the cipher's counter


class Key:
    """An immutable source of random numbers. Equal keys draw equal numbers; `at` makes children that are independent.

    A child's words are computed when they are first needed: most keys are handed to layers that draw nothing.
    """

    __slots__ = ("_origin", "_words")
    _words: _Words | None
    _origin: tuple[Key, str | int]  # parent and name, of a child whose words nobody has needed yet

    def __init__(self, seed: int) -> None:
        """The root key of `seed`, an integer of at most 64 bits."""
        if not 0 <= seed < 1 << 64:
            raise ValueError(f"seed {seed} is outside 0 .. 2^64 - 1")
        object.__setattr__(self, "_words", _Words(seed & 0xFFFFFFFF, seed >> 32, 0, 0))

    @classmethod
    def from_words(cls, words: tuple[int, int, int, int]) -> Key:
        """The key of four 32-bit words, as `key.words` gives them (a checkpoint stores these)."""
        key = object.__new__(cls)
        object.__setattr__(key, "_words", _Words(*(int(w) for w in words)))
        return key

    @property
    def words(self) -> _Words:
        """The 128 bits, as four 32-bit words."""
        if self._words is None:
            parent, name = self._origin
            object.__setattr__(self, "_words", _child(parent.words, name))
            object.__delattr__(self, "_origin")
        words = self._words
        assert words is not None
        return words

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError("a Key is immutable: make another one with key.at(name)")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Key) and self.words == other.words

    def __hash__(self) -> int:
        return hash(self.words)

    def __repr__(self) -> str:
        return "Key(" + " ".join(f"{word:08x}" for word in self.words) + ")"

    def __reduce__(self) -> Any:
        return Key.from_words, (tuple(self.words),)

    # ---- children

    def at(self, *path: str | int) -> Key:
        """The child at a path of names and numbers; `key.at("a", 1)` is `key.at("a").at(1)`."""
        key = self
        for name in path:
            child = object.__new__(Key)
            object.__setattr__(child, "_words", None)
            object.__setattr__(child, "_origin", (key, name if isinstance(name, str) else int(name)))
            key = child
        return key

    def split(self, n: int = 2) -> tuple[Key, ...]:
        """The children 0 .. n - 1."""
        return tuple(self.at(i) for i in range(n))

    # ---- draws: word i of a draw is word i % 4 of block i // 4, whatever its type and device

    def bits(self, shape: int | Shape, *, like: Any = None) -> Array:
        """Uniform 32-bit words, uint32."""
        shape = as_shape(shape)
        return _kernel.words(_words(self), math.prod(shape), like=like).reshape(shape)

    def uniform(self, shape: int | Shape, dtype: DTypeLike | None = None, *, like: Any = None) -> Array:
        """Uniform on [0, 1): u 2^-24 of the upper 24 bits in float32, (word + 1/2) 2^-32 in float64.

        `like` gives device and type (the real one of a complex array); `dtype` alone defaults to float32.
        """
        shape = as_shape(shape)
        return _kernel.uniform(_words(self), math.prod(shape), _dtype(dtype, like), like=like).reshape(shape)

    def normal(self, shape: int | Shape, dtype: DTypeLike | None = None, *, like: Any = None) -> Array:
        """Standard normal numbers, by Box and Muller: sqrt(-2 ln u) (cos 2 pi v, sin 2 pi v) of two neighbouring words.

        u is never 0. The largest absolute value is 5.8 in float32 (u has 24 bits) and 6.7 in float64 (32 bits). Devices, and
        long draws and short ones, may differ in rounding (by 4e-6 in float32): the words are the same, ln and cos are not.
        """
        shape = as_shape(shape)
        return _kernel.normal(_words(self), math.prod(shape), _dtype(dtype, like), like=like).reshape(shape)

    def bernoulli(self, p: Any, shape: int | Shape | None = None, dtype: DTypeLike = np.bool_, *, like: Any = None) -> Array:
        """True, or 1 of `dtype`, with probability `p`, else False or 0: where the uniform number in float32 is below p.

        p is a number, rounded to float32, or an array whose shape and device they take.
        """
        p, shape, like = as_chances(p, shape, like)
        return _kernel.bernoulli(_words(self), p, math.prod(shape), np.dtype(dtype), like=like).reshape(shape)

    def integers(self, high: int, shape: int | Shape, *, start: int = 0, like: Any = None) -> Array:
        """Integers uniform on the `high` from `start` on, int64: start + floor(word high / 2^32); `high` is at most 2^32."""
        high, shape = as_count(high), as_shape(shape)
        return _kernel.integers(_words(self), high, math.prod(shape), start=start, like=like).reshape(shape)

    def permutation(self, n: int, *, like: Any = None) -> Array:
        """A random order of 0 .. n - 1, int64: the order of n random 64-bit numbers (kernels.philox.order), on every device."""
        return _kernel.order(self.bits((n, 2), like=like))


def use_of(name: str | int) -> tuple[int, tuple[int, int]]:
    """A child's name as a number of 64 bits, and the constant under which the cipher takes it."""
    if isinstance(name, str):
        return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little"), _CHILD_OF_STR
    return name & 0xFFFFFFFFFFFFFFFF, _CHILD_OF_INT


def _child(words: _Words, name: str | int) -> _Words:
    """The words of the child called `name`."""
    number, use = use_of(name)
    k0, k1, c2, c3 = words
    return _Words(*philox((number & 0xFFFFFFFF, number >> 32, c2, c3), (k0 ^ use[0], k1 ^ use[1])))


def as_shape(shape: int | Shape) -> Shape:
    """A shape, of a shape or a number."""
    return (int(shape),) if isinstance(shape, int | np.integer) else tuple(shape)


def as_count(high: int) -> int:
    """How many integers may be drawn. ValueError outside 1 .. 2^32."""
    if not 0 < high <= 1 << 32:
        raise ValueError(f"integers: high = {high} is outside 1 .. 2^32")
    return int(high)


def as_chances(p: Any, shape: int | Shape | None, like: Any) -> tuple[Any, Shape, Any]:
    """(p, shape, like) of a draw of events: p a number, or an array (n,) that says what device they are on."""
    if isinstance(p, int | float | np.number):
        return float(p), as_shape(np.shape(p) if shape is None else shape), like
    shape = p.shape if shape is None else as_shape(shape)
    return (p if p.shape == shape else np.broadcast_to(p, shape)).reshape(-1), shape, p


def _dtype(dtype: DTypeLike | None, like: Any) -> np.dtype[Any]:
    if dtype is not None:
        return np.dtype(dtype)
    return np.dtype(np.float32) if like is None else real_dtype(like.dtype)


def _words(key: Key) -> _Words:
    k0, k1, c2, c3 = key.words
    return _Words(k0 ^ _DRAW[0], k1 ^ _DRAW[1], c2, c3)
