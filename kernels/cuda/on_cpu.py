"""CUDA C kernels on the CPU: the very same .cu files, compiled by g++ and run on NumPy arrays.

    from minigen.kernels.cuda import on_cpu, source
    on_cpu.launch(source.read("matmul/naive.cu"), "matmul_naive", grid=(2, 3), block=(16, 16), arguments=(a, b, c, 20, 40, 30))

on_cpu.h says what is modelled and what is not. It is for tests, and for readers who want to put a `printf` into a kernel: a
thousand times slower than a GPU, and a thousand times faster than an interpreter.

Libraries are built when they are first needed and kept in a folder of the user's cache (MINIGEN_CACHE, else ~/.cache/minigen),
by a hash of everything they are made of.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from .arguments import checked
from .source import Source

HERE = Path(__file__).parent
ORDERS = (0, 1, 2)  # of threads and blocks: forwards, backwards, shuffled

# C++17 as NVRTC's. No vector instructions of this machine: a cached library may meet another one. No contraction of a * b + c
# and no reordering: on the CPU a kernel computes what its text says.
FLAGS = ("-std=c++17", "-O1", "-fPIC", "-fno-strict-aliasing", "-ffp-contract=off", "-fno-gnu-unique")
SANITIZERS = {
    "": (),
    "address": ("-fsanitize=address", "-g"),
    "thread": ("-fsanitize=thread", "-g", "-DREAL_THREADS", "-std=c++20", "-pthread"),
    "threads": ("-DREAL_THREADS", "-std=c++20", "-pthread"),
}
_DYNAMIC = re.compile(r"extern __shared__ (?:__align__\(\d+\) )?(\w+) (\w+)\[\];")

_order, _sanitizer = 0, ""


@contextmanager
def running(order: int = 0, sanitizer: str = "") -> Iterator[None]:
    """Within it, kernels run in that order of threads and blocks, built with that sanitizer."""
    global _order, _sanitizer
    if sanitizer not in SANITIZERS:
        raise ValueError(f"unknown sanitizer {sanitizer!r}: choose one of {', '.join(map(repr, SANITIZERS))}")
    before = _order, _sanitizer
    _order, _sanitizer = order, sanitizer
    try:
        yield
    finally:
        _order, _sanitizer = before


def compiler() -> str | None:
    """The path of g++, or None where there is none."""
    return shutil.which(os.environ.get("CXX") or "g++")


def launch(
    source: Source, kernel: str, grid: tuple[int, ...], block: tuple[int, ...], arguments: tuple[Any, ...], shared: int = 0
) -> None:
    """Runs a kernel to its end. Arrays are NumPy's, and written in place.

    Raises RuntimeError where the kernel did what it must not (a barrier that some threads miss, copies nobody waits for), or
    where there is no compiler.
    """
    library = build(source, _sanitizer)
    values = checked(source, kernel, arguments)
    held = [_in_c(value) for value in values]
    pointers = (ctypes.c_void_p * len(held))(*(ctypes.addressof(value) for value in held))
    sizes = (ctypes.c_uint * 6)(*(*grid, 1, 1)[:3], *(*block, 1, 1)[:3])
    run = library.launch_on_cpu
    run.restype, run.argtypes = ctypes.c_char_p, [ctypes.c_void_p] * 3 + [ctypes.c_size_t, ctypes.c_uint]
    error = run(getattr(library, f"run_{kernel}"), pointers, sizes, shared, _order)
    if error:
        raise RuntimeError(f"{source.title}, {kernel}, order {_order}: {error.decode()}")


def _in_c(value: Any) -> Any:
    if value is None or isinstance(value, np.ndarray):
        return ctypes.c_void_p(None if value is None else value.ctypes.data)
    return np.ctypeslib.as_ctypes_type(value.dtype)(value.item())


@cache
def build(source: Source, sanitizer: str = "") -> ctypes.CDLL:
    """The library of one file, from the cache or from g++. RuntimeError where there is no g++ or it refuses the file."""
    flags = (*FLAGS, *SANITIZERS[sanitizer])
    machine = (HERE / "on_cpu.cpp").read_text()
    header = "".join(path.read_text() for path in sorted(HERE.glob("*.h")))
    runtime = _made(machine, header, flags, ".o", f"the machine of on_cpu.cpp {sanitizer}", ("-c",))
    text = f'#include "on_cpu.h"\n{_DYNAMIC.sub(_dynamic, source.text)}\n#line 1 "exports"\n{_exports(source)}'
    return ctypes.CDLL(str(_made(text, header, flags, ".so", source.title, ("-shared",), (runtime,))))


def _dynamic(found: re.Match[str]) -> str:
    return f"{found[1]}* {found[2]} = reinterpret_cast<{found[1]}*>(on_cpu::dynamic_shared);"


def _exports(source: Source) -> str:
    """A function for every kernel that takes its arguments as cuLaunchKernel does: pointers to each."""
    lines = []
    for kernel, parameters in source.kernels.items():
        values = (f"*reinterpret_cast<{p.type}{'*' * p.pointer}*>(p[{i}])" for i, p in enumerate(parameters))
        lines.append(f'extern "C" void run_{kernel}(void** p) {{ {kernel}({", ".join(values)}); }}')
    return "\n".join(lines) + "\n"


def _made(
    text: str,
    header: str,
    flags: tuple[str, ...],
    suffix: str,
    title: str,
    kind: tuple[str, ...],
    objects: tuple[Path, ...] = (),
) -> Path:
    """What g++ makes of a text, in the cache."""
    command = compiler()
    if command is None:
        raise RuntimeError("running CUDA kernels on the CPU needs g++, and none was found: install it, or set CXX to its path")
    parts = (text, header, *flags, *kind, *map(str, objects), command, platform.machine())
    folder = cache_folder()
    made = folder / (hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24] + suffix)
    if made.exists():
        return made
    folder.mkdir(parents=True, exist_ok=True)
    plain = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}  # the compiler runs without a sanitizer
    with tempfile.TemporaryDirectory(dir=folder) as work:
        written, result = Path(work) / "kernel.cpp", Path(work) / ("made" + suffix)
        written.write_text(text)
        done = subprocess.run(
            [command, *flags, *kind, f"-I{HERE}", str(written), *map(str, objects), "-o", str(result)],
            env=plain,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"g++ refuses {title}:\n{done.stderr}")
        os.replace(result, made)  # at once: another process may be building the same  # noqa: PTH105
    return made


def cache_folder() -> Path:
    """Where built libraries are kept."""
    return Path(os.environ.get("MINIGEN_CACHE") or Path.home() / ".cache" / "minigen") / "cuda_on_cpu"
