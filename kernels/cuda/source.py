"""A .cu file as one text: its includes put in, its options defined, and what it says of itself read out.

A kernel's file is `kernels/OPERATION/RUNG.cu`. It may include other files by their place relative to it; `#include <...>` is
not used, since the compiler that runs beside CuPy has no such files. One text is one thing to compile, and one thing to hash:
no cache can miss that an included file has changed.

Options are constants of the compiler, `#define TRANSPOSE_A 1`: a file is compiled once for every combination that is used, and
each is as fast as if it had been written by hand. Declared in the file's opening comment, and held by the tests:

    // architectures: sm_80 sm_90         what it compiles for
    // options: TRANSPOSE_A=0,1           values of every option, the first the default
    // gaps: y x0                         parameters that may be views with gaps: the kernel is told their steps
    // registers: 128                     at most so many for a thread, and none of them spilled to memory
    // instructions: LDG.E.128 LDS.128    what the machine code of every kernel must contain

The last two are promises. One may be made for some kernels, for some variants, or for both, and adds to what is said of all: a
kernel must contain every instruction that is promised of it, and keep within the fewest registers.

    // registers with LARGE=0: 168
    // instructions with PRECISION=1,2: HMMA
    // instructions of bernoulli_loss bernoulli_rows: DADD
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent.parent  # kernels/
_KERNEL = re.compile(r'extern "C" __global__ (?:__launch_bounds__\([^)]*\) )?void (\w+)\(([^)]*)\)')
_INCLUDE = re.compile(r'^#include "([^"]+)"$', re.MULTILINE)
_DECLARED = re.compile(r"^// (architectures|options|gaps): (.+)$", re.MULTILINE)
_PROMISED = re.compile(r"^// (registers|instructions)( [^:\n]*)?: (.+)$", re.MULTILINE)
_SCOPE = re.compile(r"(?: of (?P<kernels>\w+(?: \w+)*?))?(?: with (?P<options>\w+=\d+(?:,\d+)*(?: \w+=\d+(?:,\d+)*)*))?")
_INTEGERS = {"int", "unsigned", "unsigned char", "unsigned short", "long long", "unsigned long long"}
TYPES = {"float", "double"} | _INTEGERS


@dataclass(frozen=True)
class Parameter:
    """One parameter of a kernel."""

    name: str
    type: str  # one of TYPES: its own, or what it points at
    pointer: bool
    gaps: bool = False  # whether the array may be a view with gaps


@dataclass(frozen=True)
class Promise:
    """What a file says of the machine code of one kernel, in one variant."""

    registers: int  # of a thread, at most
    instructions: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Source:
    """One .cu file with its options chosen."""

    name: str  # "matmul/naive.cu"
    options: tuple[tuple[str, int], ...]  # chosen or default, in the file's order
    text: str
    kernels: dict[str, tuple[Parameter, ...]]
    architectures: tuple[str, ...]
    promises: dict[str, Promise]  # by kernel

    def __hash__(self) -> int:
        return hash((self.name, self.options))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Source) and (self.name, self.options) == (other.name, other.options)

    @property
    def title(self) -> str:
        """ "matmul/tf32.cu TRANSPOSE_A=1", without the options that stand at their defaults."""
        defaults = dict(read(self.name).options)
        return " ".join((self.name, *(f"{k}={v}" for k, v in self.options if v != defaults[k])))


def names() -> list[str]:
    """All .cu files, as `read` takes them."""
    return sorted(str(path.relative_to(FOLDER)) for path in FOLDER.rglob("*.cu"))


def variants(name: str) -> Iterator[Source]:
    """A file with every combination of the options that it declares."""
    declared = _options(_declared(name))
    for values in itertools.product(*declared.values()):
        yield read(name, **dict(zip(declared, values, strict=True)))


def read(name: str, **options: int) -> Source:
    """The file at kernels/`name`. Raises ValueError on an option or value that it does not declare, or a type unknown here.

    So it does where the file promises something of a kernel, an option or a value that it does not have.
    """
    return _read(name, tuple(sorted(options.items())))


@cache
def _read(name: str, given: tuple[tuple[str, int], ...]) -> Source:
    declared, options = _declared(name), dict(given)
    known = _options(declared)
    for option, value in options.items():
        if value not in known.get(option, ()):
            raise ValueError(f"{name} has no {option}={value}: it declares {declared.get('options', 'no options')}")
    chosen = tuple((option, options.get(option, values[0])) for option, values in known.items())
    text = "".join(f"#define {option} {value}\n" for option, value in chosen) + _inlined(FOLDER / name, set())
    gaps = declared.get("gaps", "").split()
    kernels = {kernel: tuple(_parameter(name, p, gaps) for p in found.split(",")) for kernel, found in _KERNEL.findall(text)}
    unknown = set(gaps) - {parameter.name for parameters in kernels.values() for parameter in parameters if parameter.pointer}
    if unknown:
        raise ValueError(f"{name}: '// gaps: {' '.join(gaps)}': no kernel has an array {', '.join(sorted(unknown))}")
    promises = _promises(name, tuple(kernels), known, dict(chosen))
    return Source(name, chosen, text, kernels, tuple(declared["architectures"].split()), promises)


def _declared(name: str) -> dict[str, str]:
    found = dict(_DECLARED.findall((FOLDER / name).read_text()))
    if "architectures" not in found:
        raise ValueError(_silent(name, "architectures"))
    return found


def _silent(name: str, need: str) -> str:
    return f"{name} does not say '// {need}: ...' in its opening comment: see kernels/cuda/source.py"


def _options(declared: dict[str, str]) -> dict[str, tuple[int, ...]]:
    return _values(declared.get("options", ""))


def _values(text: str) -> dict[str, tuple[int, ...]]:
    """The options of "LARGE=0,1 PRECISION=2", and the values of each."""
    parts = [part.split("=") for part in text.split()]
    return {option: tuple(int(value) for value in values.split(",")) for option, values in parts}


def _promises(
    name: str, kernels: tuple[str, ...], known: dict[str, tuple[int, ...]], chosen: dict[str, int]
) -> dict[str, Promise]:
    """What the file promises of each kernel in the variant `chosen`."""
    promises = {}
    for kernel in kernels:
        said: dict[str, list[str]] = {"registers": [], "instructions": []}
        for word, of, options, what in _statements(name, kernels, known):
            if kernel in of and all(chosen[option] in values for option, values in options.items()):
                said[word] += what.split()
        if not said["registers"]:
            raise ValueError(_silent(name, "registers"))
        promises[kernel] = Promise(min(map(int, said["registers"])), tuple(dict.fromkeys(said["instructions"])))
    return promises


def _statements(
    name: str, kernels: tuple[str, ...], known: dict[str, tuple[int, ...]]
) -> Iterator[tuple[str, tuple[str, ...], dict[str, tuple[int, ...]], str]]:
    """Each promise's word, its kernels, the options with the values that it is for, and what is promised."""
    for word, scope, what in _PROMISED.findall((FOLDER / name).read_text()):
        line, parts = f"{name}: '// {word}{scope}: {what}'", _SCOPE.fullmatch(scope)
        if parts is None:
            raise ValueError(f"{line} is no promise: write '// {word} of KERNEL ... with OPTION=VALUE,... ...: ...', or less")
        of, options = tuple((parts["kernels"] or "").split()) or kernels, _values(parts["options"] or "")
        for kernel in of:
            if kernel not in kernels:
                raise ValueError(f"{line}: the file has no kernel {kernel!r}: it has {', '.join(kernels)}")
        for option, values in options.items():
            if not set(values) <= set(known.get(option, ())):
                declared = " ".join(f"{key}={','.join(map(str, values))}" for key, values in known.items())
                raise ValueError(f"{line}: the file has not all of these options: it declares {declared or 'none'}")
        yield word, of, options, what


def _inlined(path: Path, seen: set[Path]) -> str:
    """The text of a file with each include replaced by what it names, once; lines keep their places for messages."""
    path = path.resolve()
    if path in seen:
        return ""
    seen.add(path)
    text = path.read_text().replace("#pragma once\n", "\n")
    inside = path.is_relative_to(FOLDER.resolve())
    shown = path.relative_to(FOLDER.resolve()) if inside else path
    parts, start = [f'#line 1 "{shown}"\n'], 0
    for include in _INCLUDE.finditer(text):
        line = text.count("\n", 0, include.end()) + 2
        parts += [text[start : include.start()], _inlined(path.parent / include[1], seen), f'#line {line} "{shown}"']
        start = include.end()
    return "".join((*parts, text[start:]))


def _parameter(name: str, text: str, gaps: list[str]) -> Parameter:
    words = text.replace("*", " * ").replace("__restrict__", " ").split()
    kind = " ".join(word for word in words[:-1] if word not in ("*", "const"))
    if kind not in TYPES:
        raise ValueError(
            f"{name}: a kernel's parameter {text.strip()!r} is of a type that cannot be passed: use {sorted(TYPES)}"
        )
    return Parameter(words[-1], kind, "*" in words, words[-1] in gaps)
