"""The machine code of a kernel without a GPU: compiled, measured and taken apart.

Two compilers make it, the same one inside: NVRTC, a library that CuPy loads too (`pip install nvidia-cuda-nvrtc`), else `nvcc`
of a CUDA toolkit. `nvdisasm` (`pip install nvidia-cuda-nvdisasm`) shows the instructions. None of them needs a driver.
"""

from __future__ import annotations

import ctypes
import importlib.util
import re
import shutil
import subprocess
import tempfile
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from .source import Source

STANDARD = "-std=c++17"
_KERNEL = re.compile(r"Compiling entry function '(\w+)' for '\w+'(.*?)(?=Compiling entry function|\Z)", re.DOTALL)
_FUNCTION = re.compile(r"^\s*\.text\.(\w+):$(.*?)(?=^\s*\.text\.|\Z)", re.MULTILINE | re.DOTALL)
_INSTRUCTION = re.compile(r"/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w+\s+)?([A-Z][\w.]*)")


@dataclass(frozen=True)
class Compiled:
    """What became of one kernel on one architecture."""

    registers: int  # of a thread
    shared: int  # bytes of a block, without what a launch adds
    spilled: int  # bytes that a thread moves to memory and back for want of registers, its stack included
    instructions: Counter[str]  # how often each stands in the code; empty where there is no nvdisasm

    def count(self, name: str) -> int:
        """How many instructions are `name`, or `name` with more said after a point."""
        return sum(n for found, n in self.instructions.items() if found == name or found.startswith(name + "."))


def version() -> str | None:
    """The compiler's name and version, "NVRTC 13.0"; None where there is none."""
    library = _nvrtc()
    if library is not None:
        major, minor = ctypes.c_int(), ctypes.c_int()
        library.nvrtcVersion(ctypes.byref(major), ctypes.byref(minor))
        return f"NVRTC {major.value}.{minor.value}"
    if shutil.which("nvcc"):
        said = subprocess.run(["nvcc", "--version"], capture_output=True, text=True, check=True).stdout
        return "nvcc " + said.partition("release ")[2].partition(",")[0]
    return None


def compiled(source: Source, architecture: str) -> dict[str, Compiled]:
    """Every kernel of a file, by name. RuntimeError where there is no compiler, or with its words where it refuses the file."""
    made = _by_nvrtc(source, architecture) if _nvrtc() is not None else _by_nvcc(source, architecture)
    binary, log = made
    code = _taken_apart(binary)
    result = {}
    for kernel, said in _KERNEL.findall(log):
        spilled = _sum(r"(\d+) bytes (?:stack frame|spill stores|spill loads)", said)
        result[kernel] = Compiled(
            _sum(r"Used (\d+) registers", said), _sum(r"(\d+) bytes smem", said), spilled, code.get(kernel, Counter())
        )
    missing = set(source.kernels) - set(result)
    if missing:
        raise RuntimeError(f"{source.title}: the compiler says nothing of {', '.join(sorted(missing))}:\n{log}")
    return result


def _sum(pattern: str, said: str) -> int:
    return sum(int(n) for n in re.findall(pattern, said))


def _by_nvcc(source: Source, architecture: str) -> tuple[bytes, str]:
    if not shutil.which("nvcc"):
        raise RuntimeError("no CUDA compiler: pip install nvidia-cuda-nvrtc, or put nvcc on the path")
    with tempfile.TemporaryDirectory() as folder:
        text, binary = Path(folder) / "kernel.cu", Path(folder) / "kernel.cubin"
        text.write_text(source.text)
        command = ["nvcc", "-cubin", f"-arch={architecture}", STANDARD, "-Xptxas", "-v", str(text), "-o", str(binary)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"nvcc refuses {source.title} for {architecture}:\n{done.stderr}")
        return binary.read_bytes(), done.stderr


def _by_nvrtc(source: Source, architecture: str) -> tuple[bytes, str]:
    library, program = _nvrtc(), ctypes.c_void_p()
    assert library is not None
    library.nvrtcCreateProgram(ctypes.byref(program), source.text.encode(), source.name.encode(), 0, None, None)
    options = [f"-arch={architecture}".encode(), STANDARD.encode(), b"--ptxas-options=-v"]
    failed = library.nvrtcCompileProgram(program, len(options), (ctypes.c_char_p * len(options))(*options))
    log = _text_of(library, program, "ProgramLog").decode().rstrip("\0")
    if failed:
        raise RuntimeError(f"NVRTC refuses {source.title} for {architecture}:\n{log}")
    binary = _text_of(library, program, "CUBIN")
    library.nvrtcDestroyProgram(ctypes.byref(program))
    return binary, log


def _text_of(library: Any, program: Any, what: str) -> bytes:
    size = ctypes.c_size_t()
    getattr(library, f"nvrtcGet{what}Size")(program, ctypes.byref(size))
    text = ctypes.create_string_buffer(size.value)
    getattr(library, f"nvrtcGet{what}")(program, text)
    return text.raw


@cache
def _nvrtc() -> Any:
    """The library of the pip package, loaded; None where it is not installed."""
    for place in _packages():
        for path in sorted(place.glob("*/lib/libnvrtc.so.*")):
            for part in sorted(path.parent.glob("libnvrtc-builtins.so.*")):
                ctypes.CDLL(
                    str(part), mode=ctypes.RTLD_GLOBAL
                )  # it looks for this one by its bare name, and must find it loaded
            return ctypes.CDLL(str(path))
    return None


def disassembler() -> str | None:
    """The path of nvdisasm, or None."""
    found = [str(path) for place in _packages() for path in sorted(place.glob("*/bin/nvdisasm"))]
    return found[0] if found else shutil.which("nvdisasm")


def _packages() -> list[Path]:
    spec = importlib.util.find_spec("nvidia")
    return [Path(place) for place in (spec.submodule_search_locations or ())] if spec else []


def _taken_apart(binary: bytes) -> dict[str, Counter[str]]:
    """The instructions of every kernel; nothing where there is no nvdisasm."""
    command = disassembler()
    if command is None:
        return {}
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(binary)
        file.flush()
        code = subprocess.run([command, "-c", file.name], capture_output=True, text=True, check=True).stdout
    return {kernel: Counter(_INSTRUCTION.findall(body)) for kernel, body in _FUNCTION.findall(code)}
