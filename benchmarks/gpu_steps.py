"""Training steps on a GPU: are they the CPU's, are they the same bits every time, and how long do they take beside PyTorch's?

For every configuration of `torch_steps.py`, in float32 and in TF32, three gates and then three rows. The gates: the gradients
of the first step are those of the CPU, by norm; two trainings of five captured steps are equal bit for bit; so are a captured
one and an eager one. The rows: ours eager beside PyTorch eager, ours captured beside PyTorch eager, ours captured beside
PyTorch's own captured graph.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from benchmarks.gpu_device import NO_TORCH, Device, Row, timed
from benchmarks.ours import CONFIGS, build
from minigen import backend
from minigen.backend import Array, CaptureError
from minigen.kernels import rungs
from minigen.models.captured import Captured
from minigen.random import Key

# Between the gradients of two devices, by norm. Of TF32: three times what rounding the factors of every product on a CPU makes
# of DCGAN's, 7e-3, the most of all; 2e-4 to 3e-3 are the others.
AGREE = {"float32": 2e-4, "tf32": 2e-2}
SIDES = ("ours eager, PyTorch eager", "ours captured, PyTorch eager", "ours captured, PyTorch captured")
STEPS = 5  # of a training whose bits are compared


class Training:
    """A configuration on a device, and its step, eager or captured."""

    def __init__(self, name: str, device: Device | None, *, captured: bool = False) -> None:
        ours, config = build(name), CONFIGS[name]
        self.model: Any = ours.model
        self.batch = ours.batch
        if device is not None:
            self.model = ours.model.to(device.name)
            self.model.start(rate=config.rate, steps=config.steps)
            self.batch = device.to(ours.batch)
        self.update = Captured(self.model, config.update) if captured else getattr(self.model, config.update)
        self.taken = 0

    def step(self) -> Any:
        """The next step, with a key of its own."""
        self.taken += 1
        return self.update(self.batch, Key(2).at(self.taken))

    def theta_after(self, steps: int) -> Array:
        """The parameters after so many steps, on the host."""
        for _ in range(steps):
            self.step()
        return backend.to_device(self.model.theta, "cpu")

    def first_gradient(self) -> Array:
        """Of the first step, on the host."""
        self.step()
        return backend.to_device(self.model.grad, "cpu")


def exact_gradient(name: str) -> Array:
    """The gradient of the first step on the CPU, on the definitions: there is nothing to compile."""
    with rungs("definition"):
        return Training(name, None).first_gradient().astype(np.float64)


def disagreement(name: str, device: Device, exact: Array) -> float:
    """|gradient here - exact| / |exact|, of the first step."""
    return float(np.linalg.norm(Training(name, device).first_gradient() - exact) / np.linalg.norm(exact))


def unequal(name: str, device: Device) -> str:
    """What is not equal bit for bit; "" where all is."""
    captured = Training(name, device, captured=True).theta_after(STEPS)
    if not np.array_equal(captured, Training(name, device, captured=True).theta_after(STEPS)):
        return "two captured trainings differ"
    if not np.array_equal(captured, Training(name, device).theta_after(STEPS)):
        return "captured and eager differ"
    return ""


def peer(name: str, device: Device, *, captured: bool) -> tuple[Callable[[], Any] | None, str]:
    """PyTorch's step with fused Adam, of images in the faster memory format; or None, and why.

    In the precision that it is called within. PyTorch captures on a GPU alone.
    """
    if device.torch is None or (captured and device.where != "cuda"):
        return None, NO_TORCH
    from benchmarks import torch_steps

    try:
        made = [torch_steps.build(name, device=device.where, captured=captured)]
        if made[0].batch.ndim == 4:
            made.append(torch_steps.build(name, device=device.where, captured=captured, channels_last=True))
        calls = {str(i): one.step for i, one in enumerate(made)}
        times = timed(device, calls, runs=3, alone=False)
    except Exception as error:
        if device.failed():
            raise
        return None, f"peer unmeasured: {type(error).__name__}: {error}"
    return calls[min(times, key=lambda name: times[name].ms)], ""


def rows_of(name: str) -> list[Row]:
    """What is measured of one configuration."""
    return [Row(f"step {name}", sides, precision) for precision in AGREE for sides in SIDES]


def step_rows(name: str, device: Device, runs: int = 7) -> Iterator[Row]:
    """The rows of one configuration."""
    exact = exact_gradient(name)
    for precision in AGREE:
        with device.precision(precision):
            yield from _rows_in(precision, name, device, exact, runs)


def _rows_in(precision: str, name: str, device: Device, exact: Array, runs: int) -> Iterator[Row]:
    rows = [row for row in rows_of(name) if row.precision == precision]
    error = disagreement(name, device, exact)
    for row in rows:
        row.error = error
    if not error <= AGREE[precision]:
        yield from wrong(rows, f"gradients differ from the CPU's by {error:.1e}, allowed is {AGREE[precision]:.0e}")
        return
    eager = Training(name, device)
    captured: Callable[[], Any] | None = None
    try:
        if found := unequal(name, device):
            yield from wrong(rows, found)
            return
        captured = Training(name, device, captured=True).step
    except CaptureError as why:
        for row in rows[1:]:
            row.note = f"unmeasured: {why}"
    theirs, theirs_captured = (peer(name, device, captured=way) for way in (False, True))
    for row, ours, (their, why_not) in zip(
        rows, (eager.step, captured, captured), (theirs, theirs, theirs_captured), strict=True
    ):
        if ours is not None:
            times = timed(device, {"ours": ours, **({"peer": their} if their else {})}, runs, alone=False)
            row.ours_ms, row.note = times["ours"].ms, why_not
            row.peer_ms = times["peer"].ms if their else None
        yield row


def wrong(rows: list[Row], why: str) -> Iterator[Row]:
    """The rows, none of them timed."""
    for row in rows:
        row.note = f"WRONG: {why}"
        yield row
