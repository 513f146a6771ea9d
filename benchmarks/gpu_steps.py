"""Training steps on a GPU: are they the CPU's, are they the same bits every time, and how long do they take beside PyTorch's?

For every configuration of `torch_steps.py`, three gates and then three rows. The gates: the gradients of the first step are
those of the CPU, by norm; two trainings of five captured steps are equal bit for bit; so are a captured one and an eager one.
The rows: ours eager beside PyTorch eager, ours captured beside PyTorch eager, ours captured beside PyTorch's own captured
graph.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from benchmarks.gpu_cases import Device, Row, timed
from benchmarks.ours import CONFIGS, build
from minigen import backend
from minigen.backend import CaptureError
from minigen.models.captured import Captured
from minigen.random import Key

AGREE = 2e-4  # between the gradients of two devices, by norm, in float32
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

    def theta_after(self, steps: int) -> Any:
        """The parameters after so many steps, on the host."""
        for _ in range(steps):
            self.step()
        return backend.to_device(self.model.theta, "cpu")


def disagreement(name: str, device: Device) -> float:
    """|gradient here - gradient on the CPU| / |gradient on the CPU|, of the first step."""
    here, there = Training(name, None), Training(name, device)
    for training in (here, there):
        training.step()
    exact = here.model.grad.astype(np.float64)
    return float(np.linalg.norm(backend.to_device(there.model.grad, "cpu") - exact) / np.linalg.norm(exact))


def unequal(name: str, device: Device) -> str:
    """What is not equal bit for bit; "" where all is."""
    captured = Training(name, device, captured=True).theta_after(STEPS)
    if not np.array_equal(captured, Training(name, device, captured=True).theta_after(STEPS)):
        return "two captured trainings differ"
    if not np.array_equal(captured, Training(name, device).theta_after(STEPS)):
        return "captured and eager differ"
    return ""


def peers(name: str, torch: Any) -> tuple[Callable[[], Any] | None, Callable[[], Any] | None]:
    """PyTorch's step, eager (with fused Adam) and captured, in the faster memory format for images; None without PyTorch."""
    if torch is None:
        return None, None
    from benchmarks import torch_steps

    def make(captured: bool) -> Callable[[], Any]:
        last = torch_steps.build(name, device="cuda").batch.ndim == 4
        peer = torch_steps.build(name, device="cuda", channels_last=last, captured=captured)
        return lambda: peer.step()

    return make(False), make(True)


def step_rows(name: str, device: Device, runs: int = 7) -> Iterator[Row]:
    """The rows of one configuration."""
    rows = [Row(f"step {name}", sides, "float32") for sides in SIDES]
    error = disagreement(name, device)
    for row in rows:
        row.error = error
    if not error <= AGREE:
        yield from wrong(rows, f"gradients differ from the CPU's by {error:.1e}, allowed is {AGREE:.0e}")
        return
    eager = Training(name, device)
    step: Callable[[], Any] | None = None
    try:
        if found := unequal(name, device):
            yield from wrong(rows, found)
            return
        step = Training(name, device, captured=True).step
    except CaptureError as why:
        for row in rows[1:]:
            row.note = f"unmeasured: {why}"
    theirs_eager, theirs_captured = peers(name, device.torch)
    calls: tuple[tuple[Callable[[], Any] | None, Callable[[], Any] | None], ...] = (
        (eager.step, theirs_eager),
        (step, theirs_eager),
        (step, theirs_captured),
    )
    for row, (ours, peer) in zip(rows, calls, strict=True):
        if ours is not None:
            row.ours_ms, row.peer_ms = timed(device, ours, peer, runs)
            row.note = "" if peer else "peer unmeasured: no PyTorch with CUDA"
        yield row


def wrong(rows: list[Row], why: str) -> Iterator[Row]:
    """The rows, none of them timed."""
    for row in rows:
        row.note = f"WRONG: {why}"
        yield row
