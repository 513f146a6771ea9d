"""The one decorator that compiles: Numba, with a disk cache, a word to the user, and a counter for the tests.

Only rung files that need it import this file, so a program that never reaches a Numba rung never loads Numba. A kernel compiles
at its first call for each combination of types, and its machine code is kept on disk beside its source (or where
NUMBA_CACHE_DIR says). The cache is renewed when the machine changes, the kernel's own file, or one of the two that kernels
share: this one and `vector_math.py`. A kernel that called functions of any other file would not notice when those
change. So every kernel's file is complete in itself but for these two, and kernels of different files meet in plain Python.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from types import FunctionType
from typing import Any, TypeVar, cast

import numba
from llvmlite import ir
from numba.core import cgutils, event, types
from numba.core.registry import cpu_target
from numba.extending import intrinsic
from numba.np.arrayobj import make_array, populate_array

from .pool import open_pool

F = TypeVar("F", bound=Callable[..., Any])

# What the compiler may do with floating-point numbers: reorder sums (else nothing vectorises), fuse a * b + c, and ignore the
# sign of zero. It may not assume that there is no NaN and no infinity, as `fastmath=True` would: a NaN that vanishes in a
# kernel is a bug that nobody finds.
ARITHMETIC = {"reassoc", "contract", "nsz"}

# Vector registers decide how large a tile of results can stay in them: AVX-512 has 32 of 16 float32 each, AVX2 16 of 8, NEON
# 32 of 4. A kernel picks its tile by this one bit, and leaves a few registers for what it multiplies.
WIDE = "+avx512f" in cpu_target.target_context.codegen().magic_tuple()[2]

SHARED = 1 << 14  # numbers, which one thread goes through in 5 to 20 us; a second one takes up to 40 to wake

_STAMP = tuple((Path(__file__).with_name(name).stat().st_mtime, name) for name in ("jit.py", "vector_math.py"))

compilations = 0  # real ones in this process, loads from the disk not counted
_kernels: list[Any] = []  # all that are known
_announced: list[Any] = []


def compiled(function: F) -> F:
    """Compiles `function` at its first call, with parallel loops where it says `prange`."""
    return _compiled(function, parallel=True)


def compiled_for_one(function: F) -> F:
    """The same without parallel loops, for one thread: what is too small for two, and rungs that come before `prange`."""
    return _compiled(function, parallel=False)


class CompiledTwice:
    """A kernel with parallel loops and without: below SHARED numbers one thread is done before a second one is awake.

    `kernel.of(work)`, with the count of numbers it goes through, is the one to call.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.shared = _compiled(function, parallel=True)
        # Numba names its files on disk by the function, whatever it is compiled for: the second needs a name of its own.
        twin = FunctionType(
            function.__code__, function.__globals__, function.__name__, function.__defaults__, function.__closure__
        )
        twin.__qualname__ = f"{function.__qualname__}_for_one"
        self.alone = _compiled(twin, parallel=False)

    def of(self, work: int) -> Callable[..., Any]:
        """The one that is faster at so much work."""
        return self.shared if work >= SHARED else self.alone


def _compiled(function: F, parallel: bool) -> F:
    open_pool()
    # x / 0 is infinite or NaN as in NumPy (`error_model`): to raise ZeroDivisionError would be a branch at every division, and
    # a loop with a branch out of it is not vectorised.
    made: Any = numba.njit(function, parallel=parallel, fastmath=ARITHMETIC, error_model="numpy", cache=True, nogil=True)
    file = made._cache._cache_file
    file._source_stamp = file._source_stamp, _STAMP  # Numba's stamp is the time and size of the kernel's own file
    _kernels.append(made)
    return cast(F, made)


def _registers(typing: Any, rows: Any, columns: Any, dtype: Any) -> Any:
    """In a kernel, `registers(R, C, x.dtype)` is an uninitialised (R, C) array on the stack; R and C are constants.

    A tile of results must live in the vector registers while a loop adds to it. The compiler moves memory into registers only
    where it can prove that nobody else reads or writes it. Of `np.empty` it cannot: the array comes from a function that it
    does not know, so every step of the loop stored the whole tile, at a third of the speed. Memory on the kernel's own stack,
    whose address goes nowhere, has no other reader. The array must not leave the kernel.
    """
    element, count = dtype.dtype, rows.literal_value * columns.literal_value
    made = types.Array(element, 2, "C")

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        number = context.get_data_type(element)
        memory = cgutils.alloca_once(builder, ir.ArrayType(number, count))
        memory.align = 64
        bytes_each = context.get_abi_sizeof(number)
        size = lambda n: context.get_constant(types.intp, n)
        array = make_array(made)(context, builder)
        populate_array(
            array,
            data=builder.bitcast(memory, number.as_pointer()),
            shape=cgutils.pack_array(builder, [size(rows.literal_value), size(columns.literal_value)]),
            strides=cgutils.pack_array(builder, [size(columns.literal_value * bytes_each), size(bytes_each)]),
            itemsize=size(bytes_each),
            meminfo=None,
        )
        return array._getvalue()

    return made(rows, columns, dtype), generate


registers: Any = intrinsic(prefer_literal=True)(_registers)


def _fetch(typing: Any, array: Any, row: Any, column: Any) -> Any:
    """In a kernel, `fetch(c, i, j)` asks the memory for the cache line of c[i, j], which is soon to be read and written.

    It returns at once and changes nothing. What a kernel reads in a pattern that the processor does not foresee, such as a few
    numbers of each row, it otherwise waits for when it needs them.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        made = signature.args[0]
        held = make_array(made)(context, builder, arguments[0])
        at = [
            context.cast(builder, value, kind, types.intp)
            for value, kind in zip(arguments[1:], signature.args[1:], strict=True)
        ]
        address = cgutils.get_item_pointer(context, builder, made, held, at, wraparound=False)
        byte, flag = ir.IntType(8).as_pointer(), ir.IntType(32)
        prefetch = builder.module.declare_intrinsic(
            "llvm.prefetch", [byte], ir.FunctionType(ir.VoidType(), [byte, flag, flag, flag])
        )
        to_be_written, everywhere, data = (ir.Constant(flag, n) for n in (1, 3, 1))
        builder.call(prefetch, [builder.bitcast(address, byte), to_be_written, everywhere, data])
        return context.get_dummy_value()

    return types.void(array, row, column), generate


fetch: Any = intrinsic(_fetch)


def known() -> int:
    """How many kernels the package has, of which a program compiles those that it uses; their files are loaded for it."""
    here = Path(__file__).parent
    for file in sorted(here.glob("*/*.py")):
        if "@compiled" in (text := file.read_text()) or "@CompiledTwice" in text:
            importlib.import_module(f".{file.parent.name}.{file.stem}", __package__)
    return len(_kernels)


class _Announcer(event.Listener):
    """Hears of every compilation in the process, and reports ours: a silent pause of seconds looks like a hang."""

    def on_start(self, happening: Any) -> None:
        global compilations
        kernel = happening.data["dispatcher"]
        if kernel not in _kernels:
            return
        compilations += 1
        if kernel not in _announced:
            _announced.append(kernel)
            rung = kernel.py_func.__module__.removeprefix(f"{__package__}.")  # "minigen.kernels."
            count = f"{len(_announced)} of {known()}"
            print(f"minigen: compiling kernels, once: {count} ({rung}); later runs use the cache", file=sys.stderr, flush=True)

    def on_end(self, happening: Any) -> None:
        pass


event.register("numba:compile", _Announcer())
