"""Which array library an array belongs to, moving between devices, and the one place that allocates.

An array is a `numpy.ndarray` or a `cupy.ndarray`. NumPy's own functions (`np.exp`, `np.where`, `np.tensordot`) follow the
type of their argument to CuPy by themselves; what does not follow, *making* an array, goes through this file.
"""

from __future__ import annotations

import ctypes
import math
import weakref
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from types import ModuleType
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import DTypeLike, NDArray

Array: TypeAlias = NDArray[Any]
Shape: TypeAlias = tuple[int, ...]

KNOWN = 4096  # shapes that a workspace remembers
ALIGNMENT = 64  # bytes: one cache line, one AVX-512 register


class CaptureError(RuntimeError):
    """Something that a captured step cannot do, named: a captured graph is the same work at the same addresses every time."""


_NUMPYS = (np.ndarray, np.generic, int, float, complex)


def array_module(x: Any) -> ModuleType:
    """The library that made `x`: `numpy` for its arrays and for Python scalars, else the library of x's type (`cupy`)."""
    if type(x) is np.ndarray or isinstance(x, _NUMPYS):
        return np
    if type(x) in _others:
        return _others[type(x)][1]
    name = type(x).__module__.partition(".")[0]
    module = __import__(name)
    if not hasattr(module, "empty"):
        raise TypeError(f"{type(x).__name__} is not an array of NumPy or CuPy")
    return module


_others: dict[type, tuple[str, Any]] = {}  # array type -> (its device, its library), beside NumPy and CuPy


def add_library(device: str, array_type: type, library: Any) -> None:
    """Makes a third library known, of arrays on `device`, with NumPy's functions: the test array of minigen.check."""
    _others[array_type] = device, library


def runs_cuda(x: Any) -> bool:
    """Whether CUDA C runs on `x` where it lies: on CuPy's arrays, and on those of an added library that has a `launch`."""
    library: Any = array_module(x)
    return library is not np and (library.__name__ == "cupy" or hasattr(library, "launch"))


def device_of(x: Array) -> str:
    """`"cpu"` for a NumPy array, else `"cuda"`."""
    if type(x) is np.ndarray:
        return "cpu"
    if type(x) in _others:
        return _others[type(x)][0]
    return "cpu" if array_module(x) is np else "cuda"


def to_device(x: Any, device: str) -> Array:
    """`x` on `device` (`"cpu"` or `"cuda"`); x itself where it already is there.

    Raises ValueError on an unknown device, RuntimeError where CUDA is asked for and CuPy or a GPU is missing.
    """
    if _capturing and (device == "cpu") != isinstance(x, _NUMPYS):
        way = "to" if device == "cpu" else "from"
        raise CaptureError(f"a captured step copies an array of shape {np.shape(x)} {way} the host: it would be copied once")
    if device == "cpu":
        return x if isinstance(x, np.ndarray) else np.asarray(x.get() if hasattr(x, "get") else x)
    if device == "cuda":
        moved: Array = cupy().asarray(x)
        return moved
    for name, library in _others.values():
        if name == device:
            there: Array = library.asarray(x)
            return there
    raise ValueError(f"unknown device {device!r}: choose 'cpu' or 'cuda'")


def number(x: Any) -> Any:
    """The number in an array of one element, or a number as it is, as Python has it: on a GPU this waits for the device."""
    return to_device(x, "cpu").item()


def cupy() -> Any:
    """CuPy, imported where it is first needed; RuntimeError with the remedy where it, its driver or a GPU is missing."""
    try:
        import cupy as module
    except ImportError as error:
        raise RuntimeError("device 'cuda' needs CuPy: pip install 'minigen[gpu]', or use device 'cpu'") from error
    if not module.cuda.is_available():
        raise RuntimeError("device 'cuda' needs an NVIDIA GPU and its driver, and none was found: use device 'cpu'")
    return module


_capturing = False


@contextmanager
def capturing() -> Iterator[None]:
    """Within it a graph is being recorded: nothing may travel between host and device, and `to_device` says so."""
    global _capturing
    _capturing = True
    try:
        yield
    finally:
        _capturing = False


_residents: dict[tuple[int, str], tuple[weakref.ref[Array], Array]] = {}


def resident(constant: Array, like: Any) -> Array:
    """An array of the host that never changes, where `like` lies: moved there once, and kept as long as it lives here."""
    device = device_of(like)
    if device == "cpu":
        return constant
    name = id(constant), device
    if name not in _residents:
        moved = to_device(constant, device)
        _residents[name] = weakref.ref(constant, lambda _: _residents.pop(name, None) and None), moved
    return _residents[name][1]


class Constant:
    """Numbers of the host that never change, in the real type and on the device of an array: made and moved once each."""

    def __init__(self, numbers: Any) -> None:
        self.numbers = np.asarray(numbers, np.float64)
        self._of: dict[np.dtype[Any], Array] = {}

    def beside(self, x: Array) -> Array:
        """They, to be multiplied with x."""
        kind = real_dtype(x.dtype)
        if kind not in self._of:
            self._of[kind] = self.numbers.astype(kind)
        return resident(self._of[kind], x)


def fill(there: Array, values: Array) -> None:
    """Copies an array of the host into one on a device."""
    if isinstance(there, np.ndarray):
        there[...] = values
    else:
        there.set(values)


def real_dtype(dtype: DTypeLike) -> np.dtype[Any]:
    """float32 for float32 and complex64, float64 for float64 and complex128: the type of noise, masks and statistics."""
    return np.zeros(0, dtype).real.dtype


# ---- the one allocator


def empty(shape: int | Shape, dtype: DTypeLike = np.float32, *, like: Any = None) -> Array:
    """An uninitialised array on the device of `like` (NumPy without it), from the workspace if one is active."""
    xp = np if like is None or type(like) is np.ndarray else array_module(like)
    if xp is np and _active is not None:
        return _active.empty(shape, dtype)
    made: Array = xp.empty(shape, dtype)
    return made


def empty_like(x: Array) -> Array:
    """`empty` with the shape, dtype and device of `x`, contiguous."""
    return empty(x.shape, x.dtype, like=x)


def zeros(shape: int | Shape, dtype: DTypeLike = np.float32, *, like: Any = None) -> Array:
    """An array of zeros on the device of `like`, from the workspace if one is active."""
    out = empty(shape, dtype, like=like)
    out[...] = 0
    return out


def aligned_zeros(n: int, dtype: DTypeLike, *, like: Any = None) -> Array:
    """`n` zeros whose first byte lies on a 64-byte boundary: a vector for parameters. Never from the workspace."""
    dtype = np.dtype(dtype)
    xp = np if like is None else array_module(like)
    if xp is not np:
        vector: Array = xp.zeros(n, dtype)  # CuPy aligns to 512 bytes
        return vector
    raw = np.zeros(n * dtype.itemsize + ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start : start + n * dtype.itemsize].view(dtype)


class _Loan(weakref.ref[Array]):
    """That an array which was handed out is alive; and its block, with the shelf to which the block returns."""

    __slots__ = ("block", "shelf")
    block: Any
    shelf: list[Any]


class Workspace:
    """Memory that is used again: a block returns to the shelf when the last array that looks into it is gone.

    A training step asks for the same shapes over and over. Fresh memory from the system costs a page fault every 4 KiB,
    which for a convolution is as long as the arithmetic. No reset and no rule to obey: an array that survives the step (a
    sample, a running mean) keeps its block, because the block comes back by the array's own weak reference.

    `poison=True` fills every handed-out float array with NaN: a kernel that reads what it has not written is then found.
    """

    def __init__(self, *, poison: bool = False) -> None:
        self.poison = poison
        self.allocated = 0  # bytes ever taken from the system
        self._shelves: dict[int, list[Any]] = defaultdict(list)  # block size -> free blocks
        self._known: dict[Any, tuple[list[Any], int]] = {}  # shape and dtype -> (the shelf, its block size)
        self._lent: dict[int, _Loan] = {}  # the loans by their id, for an array has no hash, and so its reference has none
        lent = self._lent

        def give_back(loan: Any) -> None:
            loan.shelf.append(loan.block)
            del lent[id(loan)]

        self._give_back = give_back

    def empty(self, shape: int | Shape, dtype: DTypeLike) -> Array:
        """An uninitialised, 64-byte aligned array."""
        try:
            shelf, size = self._known[shape, dtype]
        except (KeyError, TypeError):  # not seen before, or a list, which has no hash
            shape = shape if isinstance(shape, int) else tuple(shape)
            shelf, size = self._shelf(shape, dtype)
        if shelf:
            block = shelf.pop()
        else:
            # Views of an array that we hand out keep it alive: NumPy looks no further for a base where it meets what is no
            # array of its own, as this is. (A memoryview it would look through.)
            block = (ctypes.c_char * size).from_buffer(aligned_zeros(size, np.uint8))  # type: ignore[arg-type]
            self.allocated += size
        made: Array = np.ndarray(shape, dtype, block)
        loan = _Loan(made, self._give_back)
        loan.block, loan.shelf = block, shelf
        self._lent[id(loan)] = loan
        if self.poison and made.dtype.kind in "fc":
            made[...] = np.nan
        return made

    def _shelf(self, shape: int | Shape, dtype: DTypeLike) -> tuple[list[Any], int]:
        sizes = (shape,) if isinstance(shape, int) else shape
        if any(n < 0 for n in sizes):
            raise ValueError(f"empty: an array of shape {shape} cannot be: sizes are 0 or more")
        size = _block_size(math.prod(sizes) * np.dtype(dtype).itemsize)
        if len(self._known) >= KNOWN:  # sequences of every length, say
            self._known.clear()
        found = self._known[shape, dtype] = self._shelves[size], size
        return found

    @property
    def in_use(self) -> int:
        """The number of arrays handed out and still alive."""
        return len(self._lent)

    def clear(self) -> None:
        """Hands the free blocks back to the system; arrays still in use are not touched."""
        for size, blocks in self._shelves.items():
            self.allocated -= size * len(blocks)
            blocks.clear()
        self._known.clear()


@lru_cache(maxsize=4096)
def _block_size(nbytes: int) -> int:
    """Rounded up to one of eight steps per power of two: nearly equal requests share blocks, at most 12.5 % is wasted."""
    step = max(ALIGNMENT, 1 << max(0, nbytes.bit_length() - 4))
    return max(ALIGNMENT, -(-nbytes // step) * step)


_active: Workspace | None = None


@contextmanager
def workspace(space: Workspace | None = None) -> Iterator[Workspace]:
    """Within it, `empty` takes its arrays from `space` (a new one by default)."""
    global _active
    before, _active = _active, space if space is not None else Workspace()
    try:
        yield _active
    finally:
        _active = before
