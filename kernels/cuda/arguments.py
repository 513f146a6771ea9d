"""What a kernel is called with, as its parameters' types ask: the same checks for the GPU and for the CPU.

A kernel cannot complain. A Python float handed to a `float` as a double, float64 numbers behind a `float*`, a view with gaps:
each would be read as garbage. So every argument is held against the parameter's declared type first.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .source import Parameter, Source

DTYPES: dict[str, np.dtype[Any]] = {
    "float": np.dtype(np.float32),
    "double": np.dtype(np.float64),
    "int": np.dtype(np.int32),
    "unsigned": np.dtype(np.uint32),
    "unsigned char": np.dtype(np.uint8),
    "unsigned short": np.dtype(np.uint16),
    "long long": np.dtype(np.int64),
    "unsigned long long": np.dtype(np.uint64),
}


def checked(source: Source, kernel: str, arguments: tuple[Any, ...]) -> list[Any]:
    """Arrays as they are, None (a null pointer) as None, numbers as NumPy scalars of the parameter's type.

    Raises TypeError on a wrong count or type, ValueError on an array with gaps and on an integer that does not fit.
    """
    parameters = source.kernels.get(kernel)
    if parameters is None:
        raise ValueError(f"{source.name} has no kernel {kernel!r}: it has {', '.join(source.kernels)}")
    if len(parameters) != len(arguments):
        wanted = ", ".join(p.name for p in parameters)
        raise TypeError(f"{kernel} takes {len(parameters)} arguments ({wanted}), got {len(arguments)}")
    return [_checked(kernel, p, x) for p, x in zip(parameters, arguments, strict=True)]


def _checked(kernel: str, parameter: Parameter, value: Any) -> Any:
    dtype = DTYPES[parameter.type]
    where = f"{kernel}: {parameter.name}"
    if parameter.pointer:
        if value is None:
            return None
        if not hasattr(value, "flags") or value.dtype != dtype:
            raise TypeError(f"{where} must be an array of {dtype}, got {getattr(value, 'dtype', type(value).__name__)}")
        if not (parameter.gaps or value.flags.c_contiguous):
            raise ValueError(f"{where} must be C-contiguous, got strides {value.strides} for shape {value.shape}")
        return value
    if dtype.kind == "f":
        return dtype.type(value)
    if int(value) != value or not np.iinfo(dtype).min <= value <= np.iinfo(dtype).max:
        raise ValueError(f"{where} must be an integer that fits into {dtype}, got {value!r}")
    return dtype.type(value)
