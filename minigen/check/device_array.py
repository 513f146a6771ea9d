"""An array that refuses to become a NumPy array silently: it finds host transfers without a GPU.

It wraps a NumPy array and behaves as CuPy's arrays do where they differ from NumPy's. An operation between it and a host array
(scalars aside), `float(x)`, `if x:`, iterating, a boolean mask as an index (its length must come to the host): each is an error
here, as it is either an error or a hidden wait for the device there. `x.get()` is the one way back.
"""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType, SimpleNamespace
from typing import Any, NoReturn

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from .. import backend
from ..backend import CaptureError
from .recorded import RecordedGraph

DEVICE = "test"
_VALUES = ("shape", "dtype", "ndim", "size", "itemsize", "nbytes", "flags", "strides")  # of an array, known on the host
_MASK = np.dtype(bool)


class HostTransferError(TypeError):
    """Something on a device was silently brought to the host, or mixed with what is there."""


class DeviceArray(NDArrayOperatorsMixin):
    """A NumPy array that keeps to its device."""

    def __init__(self, held: Any) -> None:
        if RecordedGraph.launching:
            raise CaptureError(f"an array of shape {np.shape(held)} is made while a captured graph is launched")
        self._held = held

    def get(self) -> Any:
        """A copy on the host."""
        if RecordedGraph.current is not None:
            raise CaptureError(f"x.get() of shape {self._held.shape} inside a captured step: the host waits for the device")
        return np.array(self._held)

    def __deepcopy__(self, memo: dict[int, Any]) -> DeviceArray:
        """As CuPy's: a copy on the device, in its turn with the other operations there."""
        copy: DeviceArray = self.copy()
        return copy

    def set(self, values: Any) -> None:
        """Takes the values of an array of the host."""
        self._held[...] = values

    def __repr__(self) -> str:
        return f"DeviceArray{self._held.shape}"

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        arguments, named = _unwrapped(inputs, ufunc), _unwrapped(options, ufunc)
        return _wrapped(_run(ufunc.__name__, getattr(ufunc, method), arguments, named), options.get("out"))

    def __array_function__(self, function: Any, types: Any, args: Any, options: Any) -> Any:
        arguments, named = _unwrapped(args, function), _unwrapped(options, function)
        return _wrapped(_run(function.__name__, function, arguments, named), options.get("out"))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name in ("item", "tolist", "tobytes", "ctypes", "tofile"):
            raise AttributeError(f"an array on a device has no {name}: x.get() brings it to the host")
        value = getattr(self._held, name)
        if name in _VALUES:
            return value
        if not callable(value):
            return _wrapped(value)

        def method(held: Any, *args: Any, **options: Any) -> Any:
            return getattr(held, name)(*args, **options)

        return lambda *args, **options: _wrapped(
            _run(name, method, (self._held, *_unwrapped(args, name)), _unwrapped(options, name)), options.get("out")
        )

    def __len__(self) -> int:
        return len(self._held)

    def __getitem__(self, index: Any) -> Any:
        for part in index if isinstance(index, tuple) else (index,):
            if isinstance(part, DeviceArray) and part.dtype == _MASK:
                raise HostTransferError("a boolean mask as an index: how many it selects must come to the host. Use np.where")
        at = _unwrapped(index, "an index", mixed=True)
        return DeviceArray(np.asarray(_run("index", operator.getitem, (self._held, at), {})))

    def __setitem__(self, index: Any, value: Any) -> None:
        at, new = _unwrapped(index, "an index", mixed=True), _unwrapped((value, self), "an assignment")[0]
        _run("assignment", operator.setitem, (self._held, at, new), {})

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise HostTransferError(
            "an array on a device was silently brought to the host (float(x), if x, np.asarray(x), a loop over x ...)"
        )

    __array__ = __float__ = __int__ = __bool__ = __index__ = __complex__ = __iter__ = _refuse


def _run(name: str, function: Callable[..., Any], arguments: Any, options: Any) -> Any:
    """One operation on held arrays, taken down where a graph is being recorded."""
    graph = RecordedGraph.current
    return function(*arguments, **options) if graph is None else graph.run(name, function, arguments, options)


def _unwrapped(thing: Any, where: Any, mixed: bool = False) -> Any:
    """The wrapped arrays in a nesting of tuples, lists and dicts; an error where host arrays stand beside them."""
    if not mixed and _holds_host_array(thing):
        raise HostTransferError(f"{getattr(where, '__name__', where)} mixes an array on a device with a NumPy array")
    if isinstance(thing, DeviceArray):
        return thing._held
    if isinstance(thing, tuple | list):
        return type(thing)(_unwrapped(part, where, True) for part in thing)
    if isinstance(thing, dict):
        return {name: _unwrapped(part, where, True) for name, part in thing.items()}
    return thing


def _holds_host_array(thing: Any) -> bool:
    if isinstance(thing, tuple | list | dict):
        return any(_holds_host_array(part) for part in (thing.values() if isinstance(thing, dict) else thing))
    return isinstance(thing, np.ndarray) and thing.ndim > 0


def _wrapped(result: Any, out: Any = None) -> Any:
    if isinstance(out, tuple) and len(out) == 1:
        out = out[0]
    if isinstance(out, DeviceArray) and not isinstance(result, tuple):
        return out
    if isinstance(result, tuple | list):
        return type(result)(_wrapped(part) for part in result)
    return DeviceArray(np.asarray(result)) if isinstance(result, np.ndarray | np.generic) else result


class _Library(ModuleType):
    """What `backend.array_module` gives for a DeviceArray: NumPy's functions, with results on the device."""

    ndarray = DeviceArray
    graph = RecordedGraph

    def __getattr__(self, name: str) -> Any:
        function: Callable[..., Any] = getattr(np, name)
        if not callable(function) or isinstance(function, type):
            return function
        return lambda *args, **options: _wrapped(
            _run(name, function, _unwrapped(args, name, True), _unwrapped(options, name, True)), options.get("out")
        )

    def asarray(self, x: Any, dtype: Any = None) -> DeviceArray:
        """x on the device: an explicit transfer, unless it is there."""
        if isinstance(x, DeviceArray) and (dtype is None or x.dtype == dtype):
            return x
        return DeviceArray(np.array(x._held if isinstance(x, DeviceArray) else x, dtype))


_library: Any = _Library(DEVICE)
backend.add_library(DEVICE, DeviceArray, _library)


@contextmanager
def running_cuda() -> Iterator[None]:
    """Within it the device runs CUDA C, on the CPU (kernels/cuda/on_cpu.py): float32 arrays take the rungs that CuPy's take.

    What it proves is all but the GPU: which rung is chosen, that arguments are passed as the kernels declare them, grids, and
    results. RuntimeError where a kernel is launched and there is no g++.
    """
    inner = "launch" in vars(_library)
    _library.launch = _launch
    try:
        yield
    finally:
        if not inner:
            del _library.launch


@contextmanager
def standing_for_cupy() -> Iterator[None]:
    """Within it this library is what `import cupy` gives and the device is "cuda": a run on a GPU, end to end, without one."""
    before = sys.modules.get("cupy")
    _library.cuda = SimpleNamespace(is_available=lambda: True)
    sys.modules["cupy"] = _library
    backend.add_library("cuda", DeviceArray, _library)
    try:
        with running_cuda():
            yield
    finally:
        backend.add_library(DEVICE, DeviceArray, _library)
        del _library.cuda, sys.modules["cupy"]
        if before is not None:
            sys.modules["cupy"] = before


def _launch(source: Any, kernel: str, grid: Any, block: Any, arguments: Any, shared: int = 0) -> None:
    from ..kernels.cuda import on_cpu

    held = tuple(_unwrapped(value, kernel, True) for value in arguments)
    _run("launch", on_cpu.launch, (source, kernel, grid, block, held, shared), {})


def to_test_device(x: Any) -> Any:
    """An array on the device."""
    return DeviceArray(np.array(x))


def to_host(x: Any) -> Any:
    """Back to NumPy; what is no array stays."""
    return x.get() if isinstance(x, DeviceArray) else x
