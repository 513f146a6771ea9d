"""Runs kernels on the CPU under a sanitizer of g++, or on a GPU for one of CUDA's.

    python tests/cuda/under_sanitizer.py address cases       every case of cuda_cases.py, once: nothing beyond an array
    python tests/cuda/under_sanitizer.py thread cases        the tiny ones: no race between the threads of a block (minutes)
    python tests/cuda/under_sanitizer.py thread KERNEL       one of faults.cu
    compute-sanitizer --tool racecheck python tests/cuda/under_sanitizer.py gpu cases       the tiny ones, on a GPU

The address sanitizer is part of every run of the tests, the other one of `pytest -m thread_sanitizer`. For it each thread of a
block is a thread of the system (on_cpu_threads.h): what the fibers' three orders find right by luck it finds by the barriers
that are not there. Blocks still run one after another.

Prints how many cases ran; a kernel that none of them runs is an error. Ends with 77 where there is no such sanitizer, and says
why; otherwise not with 0 where it found anything, and says what.

A sanitizer's library must be loaded before anything else, so the script starts itself again with LD_PRELOAD, and under `setarch
-R`, as the thread sanitizer wants addresses where they were on older systems. Python's libraries keep to one thread: it cannot
see how theirs wait for each other. (Told to ignore what g++ did not build for it, it overlooks asynchronous copies too.)
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from minigen.kernels.cuda import on_cpu, source
from minigen.kernels.cuda.launch import launch

LIBRARIES = {"address": "libasan.so", "thread": "libtsan.so"}
SETTINGS = {
    "ASAN_OPTIONS": "detect_leaks=0",  # Python's own
    "PYTHONMALLOC": "malloc",  # an allocation of its own for each array
    "OPENBLAS_NUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
}
UNAVAILABLE = 77


def start_again(sanitizer: str) -> None:
    """This program, in a process that has the sanitizer's library loaded. It does not return."""
    compiler = on_cpu.compiler()
    if compiler is None:
        unavailable("the kernels are built with g++, and none was found: install it, or set CXX to its path")
    asked = [compiler, f"-print-file-name={LIBRARIES[sanitizer]}"]
    library = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    if not Path(library).is_absolute():
        unavailable(f"this g++ has no {library}: install its sanitizers (libasan, libtsan)")
    environment = {**os.environ, **SETTINGS, "LD_PRELOAD": library}
    command = [*unshuffled(), sys.executable]
    empty = subprocess.run([*command, "-c", ""], env=environment, capture_output=True, text=True, check=False)
    if empty.returncode:
        unavailable(f"not even an empty program runs under {library}: {empty.stderr.strip()}")
    os.execvpe(command[0], [*command, *sys.argv], environment)


def unshuffled() -> list[str]:
    """The command that places a program's memory at the same addresses every time; none where that is not allowed."""
    command = ["setarch", "-R"]
    try:
        done = subprocess.run([*command, "true"], capture_output=True, check=False)
    except FileNotFoundError:
        return []
    return [] if done.returncode else command


def unavailable(why: str) -> None:
    """Ends the program."""
    print(why, file=sys.stderr)
    sys.exit(UNAVAILABLE)


def run(sanitizer: str, what: str) -> None:
    """All cases, or one of the mistakes."""
    import combine_cases
    import conv_cases
    import cuda_cases
    import layer_cases
    import numpy as np
    import pass_cases
    import travelling

    with travelling.running(pool=False) if sanitizer == "gpu" else on_cpu.running(sanitizer=sanitizer):
        if what == "cases":
            plain, launched = on_cpu.launch, set()

            def noted(of, kernel, *rest):
                launched.add(f"{of.name} {kernel}")
                plain(of, kernel, *rest)

            on_cpu.launch = noted
            cases = (
                *cuda_cases.MATRIX_CASES,
                *(case for kind in (conv_cases, layer_cases, pass_cases, combine_cases) for case in kind.cases()),
            )
            print(sum(case(sanitizer) for case in cases))
            missing = {f"{name} {kernel}" for name in source.names() for kernel in source.read(name).kernels} - launched
            if missing:
                sys.exit(f"no {'tiny ' * (sanitizer != 'address')}case runs {', '.join(sorted(missing))}")
        else:
            faults = str(Path(__file__).parent / "faults.cu")
            y = np.zeros(1000, np.float32)  # larger than what NumPy keeps back for later
            by = 990 if what == "write_beyond" else 10
            arguments = [y if parameter.pointer else by for parameter in source.read(faults).kernels[what]]
            launch(faults, what, (1,), (64,), *arguments, shared=256)


if __name__ == "__main__":
    if sys.argv[1] in LIBRARIES and LIBRARIES[sys.argv[1]] not in os.environ.get("LD_PRELOAD", ""):
        start_again(sys.argv[1])
    run(*sys.argv[1:])
