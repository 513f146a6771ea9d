"""What every operation asks of its arguments before a kernel, which cannot complain, reads them."""

from __future__ import annotations

from typing import Any, cast

import numpy as np

from minigen.backend import Array, Shape, device_of, empty, real_dtype


def same_kind(operation: str, **arrays: Any) -> np.dtype[Any]:
    """The result's dtype. TypeError unless all arrays are floating, of one precision and on one device.

    Real beside complex is allowed, since the complex step sends complex weights past real data; float32 beside float64 is not:
    it would silently leave the precision that the caller chose.
    """
    dtype: Any = None
    for x in arrays.values():
        if type(x) is not np.ndarray or (x.dtype is not dtype and dtype is not None):
            break
        dtype = x.dtype
    else:
        if dtype.kind in "fc":
            return cast("np.dtype[Any]", dtype)  # nearly always: what follows is for other devices and types, and for errors
    found = list(arrays.values())
    described = ", ".join(f"{name} {x.dtype}" for name, x in arrays.items())
    if any(x.dtype.kind not in "fc" for x in found):
        raise TypeError(f"{operation}: needs floating-point arrays, got {described}: convert with x.astype(np.float32)")
    if len({real_dtype(x.dtype) for x in found}) > 1:
        raise TypeError(f"{operation}: mixed precisions, {described}: convert one with x.astype(other.dtype)")
    if len({device_of(x) for x in found}) > 1:
        places = ", ".join(f"{name} on {device_of(x)}" for name, x in arrays.items())
        raise TypeError(f"{operation}: arrays on different devices, {places}: move one with backend.to_device")
    return np.result_type(*(x.dtype for x in found))


def check_ndim(operation: str, ndim: int, **arrays: Any) -> None:
    """ValueError unless every array has `ndim` axes."""
    for name, x in arrays.items():
        if x.ndim != ndim:
            raise ValueError(f"{operation}: {name} must have {ndim} axes, got shape {x.shape}: reshape it")


def check_equal_shapes(operation: str, **arrays: Any) -> None:
    """ValueError unless all shapes are equal."""
    if len({x.shape for x in arrays.values()}) > 1:
        described = ", ".join(f"{name} {x.shape}" for name, x in arrays.items())
        raise ValueError(f"{operation}: shapes differ, {described}: broadcast or reshape before the call")


def check_equal_dtypes(operation: str, **arrays: Any) -> None:
    """TypeError unless all dtypes are equal: what is moved in place cannot become another type."""
    if len({x.dtype for x in arrays.values()}) > 1:
        described = ", ".join(f"{name} {x.dtype}" for name, x in arrays.items())
        raise TypeError(f"{operation}: dtypes differ, {described}: convert one, or make moments with np.zeros_like(theta)")


def check_out(operation: str, out: Any, shape: Shape, dtype: np.dtype[Any]) -> None:
    """ValueError unless `out` is None or a C-contiguous array of that shape and dtype."""
    if out is None:
        return
    if out.shape != shape or out.dtype != dtype:
        raise ValueError(f"{operation}: out must be {shape} {dtype}, got {out.shape} {out.dtype}")
    if not out.flags.c_contiguous:
        raise ValueError(f"{operation}: out {out.shape} must be C-contiguous: pass np.ascontiguousarray(out) and copy back")


def output(out: Array | None, shape: Shape, dtype: np.dtype[Any], *, like: Array) -> Array:
    """`out`, or a new array from the allocator."""
    return empty(shape, dtype, like=like) if out is None else out
