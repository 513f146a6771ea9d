"""What every kernel costs on every architecture it compiles for, as a table that is committed.

    python -m minigen.kernels.cuda.resources            writes kernels/cuda/resources.txt anew (some 90 seconds)

A line is one kernel of a file in one variant on one architecture, and there is one for all that a file declares. A kernel that
needs more registers than yesterday, that begins to spill, or whose loads are no longer 16 bytes wide computes the same numbers,
and no test of results notices; here it is a line of a diff. The promises themselves (registers, instructions, nothing spilled)
stand in each file's opening comment, and the tests hold every compiler to them.
"""

from __future__ import annotations

import ctypes
import pickle
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from pathlib import Path

from . import compiler, source
from .compiler import Compiled
from .source import Source

TABLE = Path(__file__).parent / "resources.txt"
_NUMBER = re.compile(r"(?<= )\d+(?=[ ,]|$)")  # a number of its own: not the 90 of sm_90


def line(of: Source, kernel: str, architecture: str, found: Compiled) -> str:
    """One line of the table."""
    counts = ", ".join(f"{name} {found.count(name)}" for name in of.promises[kernel].instructions)
    name = " ".join([of.title, *([kernel] if len(of.kernels) > 1 else [])])
    return f"{name:76} {architecture}  {found.registers:3} registers {found.shared:6} bytes shared  {counts}"


def faults(of: Source, kernel: str, architecture: str, found: Compiled) -> Iterator[str]:
    """What is not as the file says."""
    where, promise = f"{of.title}, {kernel}, {architecture}", of.promises[kernel]
    if found.spilled:
        yield f"{where}: spills {found.spilled} bytes"
    if found.registers > promise.registers:
        yield f"{where}: {found.registers} registers, and its file promises at most {promise.registers}"
    if found.instructions:
        for name in promise.instructions:
            if not found.count(name):
                yield f"{where}: no {name} in its code, and its file promises it"


def drift(written: Sequence[str], found: Sequence[str]) -> Iterator[str]:
    """Where the lines of a table and those found today differ by more than the compiler does from itself.

    The same version of it, given the same text, has allotted 119 registers and 96 loads on one machine, 117 and 97 on another.
    So a number may move by 4 or by a twentieth, whichever is more; the kernel, the architecture and the instructions may not.
    """
    for before, now in zip_longest(written, found, fillvalue="(no line)"):
        numbers = [[int(n) for n in _NUMBER.findall(line)] for line in (before, now)]
        same_words = _NUMBER.sub("", before).split() == _NUMBER.sub("", now).split()
        if not same_words or any(abs(a - b) > max(4, 0.05 * a) for a, b in zip(*numbers, strict=True)):
            yield f"in the table: {before}\n       today: {now}"


def all_compiled(name: str) -> list[tuple[Source, str, str, Compiled]]:
    """(source, kernel, architecture, result): every kernel of every variant of a file, on every architecture it declares.

    In a process of its own, whose memory lies where it lay the last time: what the compiler allots depends on addresses, and it
    gave one text 80 registers or 96.
    """
    command = [sys.executable, "-c", "from minigen.kernels.cuda.resources import hand_over; hand_over()", name]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, preexec_fn=_unshuffled)
    found: list[tuple[Source, str, str, Compiled]] = pickle.loads(done.stdout)
    return found


def _unshuffled() -> None:
    """Of a process to come: no address randomisation (personality(2)), on Linux and where that is allowed."""
    if sys.platform == "linux":
        ctypes.CDLL(None).personality(0x0040000)  # ADDR_NO_RANDOMIZE


def hand_over() -> None:
    """What `all_compiled` asks its process for."""
    sys.stdout.buffer.write(pickle.dumps(compiled_here(sys.argv[1])))


def compiled_here(name: str) -> list[tuple[Source, str, str, Compiled]]:
    """The same in this process."""
    return [
        (of, kernel, architecture, found)
        for of in source.variants(name)
        for architecture in of.architectures
        for kernel, found in compiler.compiled(of, architecture).items()
    ]


def table() -> str:
    """The whole table."""
    rows = [line(*row) for name in source.names() for row in all_compiled(name)]
    return "\n".join((f"# {compiler.version()}: python -m minigen.kernels.cuda.resources", *rows)) + "\n"


if __name__ == "__main__":
    if compiler.disassembler() is None:
        raise SystemExit("the table counts instructions: pip install nvidia-cuda-nvdisasm")
    TABLE.write_text(table())
