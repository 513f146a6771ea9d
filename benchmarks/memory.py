"""Peak memory of training steps, each side in a process of its own: `python -m benchmarks.memory SIDE CONFIG [BATCH ...]`.

SIDE is `ours`, `pytorch` or `pytorch-channels-last`. For every size of batch, in growing order, the process builds the
configuration, takes STEPS training steps, and prints a row of JSON with the highest resident memory, in MiB:

    above_imports    above what the process held after its imports: model, batch, activations, gradients, optimiser, and the
                     machine code that either side loads or makes when a kernel is first called. Numba puts off a part of
                     its own import, 39 MiB of modules, to the first kernel, and minigen SciPy's, 16 MiB: they count as imports
    above_code       above what it held after a step of the same configuration with two rows, freed: without that code

CONFIG is one of the reference configurations, or `size` or `width`, where BATCH is what `benchmarks.scaling` stretches instead.

The system reports the peak (VmHWM of /proc/self/status, set back by /proc/self/clear_refs), so this needs Linux.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

STEPS = 5
SIDES = ("ours", "pytorch", "pytorch-channels-last")
# The network of `scaling_pairs.py`: a "batch" is then the size of its images, or its width.
STRETCHED: dict[str, Callable[[int], tuple[int, int, int]]] = {
    "size": lambda size: (32, max(4, size), 32),
    "width": lambda width: (32, 28, width),
}
STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def resident(what: str = "VmRSS") -> float:
    """MiB that the process holds (VmRSS), or held at its peak (VmHWM)."""
    found = re.search(rf"{what}:\s+(\d+) kB", STATUS.read_text())
    assert found is not None
    return int(found[1]) / 1024


def forget() -> None:
    """Hands freed memory back to the system, and sets the peak to what is held now."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    CLEAR.write_text("5")


def side_of(side: str, name: str, scope: ExitStack) -> Callable[[int], Callable[[int], object]]:
    """batch size -> a step by its number, of one side; imports what that needs."""
    if side == "ours":
        from numba.core.registry import cpu_target

        import minigen.kernels.jit  # noqa: F401  Numba with its compiler is an import too, and SciPy
        from benchmarks import ours, scaling_pairs
        from minigen import backend
        from minigen.kernels import pool
        from minigen.random import Key

        pool.open_pool()
        cpu_target.typing_context.refresh()  # sixty modules, which Numba would import at its first kernel
        space = scope.enter_context(backend.workspace())

        def build(batch: int) -> Callable[[int], object]:
            if name in STRETCHED:
                network = scaling_pairs.ours(*STRETCHED[name](batch))
                return lambda _: network()
            made = ours.build(name, batch_size=batch)
            space.clear()  # of what the first values were drawn with, as PyTorch frees its own
            return lambda i: made.step(Key(2).at(i))

        return build

    import torch

    from benchmarks import scaling_pairs, torch_steps

    torch.set_num_threads(os.cpu_count() or 1)

    def peer(batch: int) -> Callable[[int], object]:
        if name in STRETCHED:
            network = scaling_pairs.theirs(*STRETCHED[name](batch), channels_last=side.endswith("last"))
            return lambda _: network()
        made = torch_steps.build(name, batch_size=batch, channels_last=side.endswith("last"))
        return lambda _: made.step()

    return peer


def watch(build: Callable[[int], Callable[[int], object]], batches: Sequence[int]) -> list[dict[str, Any]]:
    """A row for every batch size."""
    imports = resident()
    step = build(2)
    step(0)
    del step
    forget()
    code, rows = resident(), []
    for batch in batches:
        forget()
        step = build(batch)
        for i in range(STEPS):
            step(i)
        peak = resident("VmHWM")
        rows.append({"batch": batch, "above_imports": round(peak - imports, 1), "above_code": round(peak - code, 1)})
        del step
    return rows


def peak(side: str, name: str, batches: Sequence[int]) -> list[dict[str, Any]]:
    """The rows, measured in a process of its own, with the system's own allocator."""
    command = [sys.executable, "-m", "benchmarks.memory", side, name, *map(str, batches)]
    settings = {key: value for key, value in os.environ.items() if not key.startswith("MALLOC_")}
    run = subprocess.run(command, env=settings, capture_output=True, text=True, check=False)
    if run.returncode:
        raise RuntimeError(f"{' '.join(command)}: {run.stderr}")
    rows: list[dict[str, Any]] = json.loads(run.stdout)
    return rows


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description="Peak memory of training steps.")
    parser.add_argument("side", choices=SIDES)
    parser.add_argument("config")
    parser.add_argument("batches", nargs="+", type=int, metavar="BATCH")
    args = parser.parse_args()
    with ExitStack() as scope:
        print(json.dumps(watch(side_of(args.side, args.config, scope), args.batches)))


if __name__ == "__main__":
    main()
