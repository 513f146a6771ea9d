"""Where `benchmarks.gpu` measures, in which precision, and how: our device beside PyTorch's, and the rows of the table."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from minigen import backend
from minigen.kernels import rounding

WARM = 2  # turns that are not counted
CYCLES = 2e9  # a second, that a fast GPU has: while it counts them, the host queues what is to be timed
NO_TORCH = "peer unmeasured: no PyTorch with CUDA"
LONGEST = 0.02  # seconds that it counts


@dataclass
class Row:
    """One line of the table; None where it was not measured, and `note` says why."""

    operation: str
    shape: str
    precision: str
    error: float | None = None
    ours_ms: float | None = None  # of a call, many in a row
    peer_ms: float | None = None
    note: str = ""
    ours_gpu_ms: float | None = None  # of a call, queued before the GPU begins: without the time that Python takes
    peer_gpu_ms: float | None = None
    of_copy: float | None = None  # bytes a second, as a share of those of a copy

    @property
    def of_peer(self) -> float | None:
        """Our speed as a share of the peer's, as called."""
        return self.peer_ms / self.ours_ms if self.ours_ms and self.peer_ms else None

    @property
    def of_peer_gpu(self) -> float | None:
        """The same on the GPU alone."""
        return self.peer_gpu_ms / self.ours_gpu_ms if self.ours_gpu_ms and self.peer_gpu_ms else None

    @property
    def json(self) -> dict[str, Any]:
        """All of it; an error that is no number is none in JSON, and the note has it."""
        error = self.error if self.error is not None and math.isfinite(self.error) else None
        return {**asdict(self), "error": error, "of_peer": self.of_peer, "of_peer_gpu": self.of_peer_gpu}


@dataclass
class Device:
    """Where our arrays go, and how to wait for it; and PyTorch, where it has the same device."""

    to: Callable[[Any], Any]
    wait: Callable[[], object]
    torch: Any = None
    name: str = "cuda"  # ours
    where: str = "cuda"  # PyTorch's
    copied: float | None = None  # bytes a second of a copy, read and written

    def failed(self) -> str:
        """Why nothing can run any more; "" where it can. After some errors, as a wrong address, a GPU is lost to a process."""
        try:
            self.wait()
        except Exception as error:
            return f"{type(error).__name__}: {error}"
        return ""

    @contextmanager
    def precision(self, name: str) -> Iterator[None]:
        """The rounding of products, the same on both sides: PyTorch's convolutions would take TF32 by default."""
        flags = [self.torch.backends.cuda.matmul, self.torch.backends.cudnn] if self.torch else []
        before = [flag.allow_tf32 for flag in flags]
        try:
            for flag in flags:
                flag.allow_tf32 = name == "tf32"
            with rounding.precision(name):
                yield
        finally:
            for flag, value in zip(flags, before, strict=True):
                flag.allow_tf32 = value

    def gpu_ms(self, call: Callable[[], Any], each: int, lasts: float) -> float | None:
        """Milliseconds of a call on the GPU alone, `lasts` when called from Python; None without PyTorch's clock.

        The GPU is kept busy while `each` calls are queued, so they run one after the other, however long Python takes.
        """
        if self.torch is None or self.where != "cuda":
            return None
        each = each if lasts > 0.2 else 4 * each  # the clock ticks in half microseconds
        start, end = (self.torch.cuda.Event(enable_timing=True) for _ in range(2))
        self.torch.cuda._sleep(int(CYCLES * min(LONGEST, 1.5e-3 * each * lasts)))
        start.record()
        for _ in range(each):
            call()
        end.record()
        end.synchronize()
        return float(start.elapsed_time(end)) / each

    def measure_copy(self, numbers: int = 1 << 27) -> float:
        """Bytes a second of a copy of so many float32 numbers: what a pass over memory can have at most."""
        here = self.to(backend.zeros(numbers, "float32"))
        there = backend.empty(here.shape, here.dtype, like=here)

        def copy() -> None:
            there[...] = here

        timing = timed(self, {"copy": copy})["copy"]
        self.copied = 2 * here.nbytes / (timing.gpu_ms or timing.ms) * 1e3
        return self.copied


@dataclass
class Timing:
    """Medians, in milliseconds."""

    ms: float
    gpu_ms: float | None


def timed(
    device: Device, calls: dict[str, Callable[[], Any]], runs: int = 7, each: int = 5, alone: bool = True
) -> dict[str, Timing]:
    """All calls in turn, warm; on the GPU alone, too, where that is asked for."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    times_alone: dict[str, list[float | None]] = {name: [] for name in calls}
    for run in range(WARM + runs):
        for name, call in calls.items():
            device.wait()
            start = time.perf_counter()
            for _ in range(each):
                call()
            device.wait()
            lasts = (time.perf_counter() - start) / each * 1e3
            if run >= WARM:
                times[name].append(lasts)
                times_alone[name].append(device.gpu_ms(call, each, lasts) if alone else None)
    found = {}
    for name in calls:
        known = [ms for ms in times_alone[name] if ms is not None]
        found[name] = Timing(median(times[name]), median(known) if known else None)
    return found


def gpu() -> Device:
    """CuPy's device, with PyTorch beside it where it has CUDA. RuntimeError where CuPy, a driver or a GPU is missing."""
    cupy = backend.cupy()
    try:
        import torch

        peer = torch if torch.cuda.is_available() else None
    except ImportError:
        peer = None

    def wait() -> None:
        cupy.cuda.Device().synchronize()  # of the device: PyTorch's stream too

    return Device(cupy.asarray, wait, peer)
