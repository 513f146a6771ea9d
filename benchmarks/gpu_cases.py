"""Kernels against PyTorch's: what `benchmarks.gpu` measures, and the rows it prints."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.networks import NETWORKS, Images
from minigen.kernels import activation, adam, conv2d, matmul, normalise, softmax
from minigen.kernels.attention import cuda as attention
from minigen.kernels.cuda import tiling
from minigen.kernels.matmul import cuda as ladder
from minigen.random import Key

BOUNDS = {"float32": 3e-6, "tf32": 1e-3, "bf16": 6e-3}  # of the error's norm, for sums of up to 8192 products
SIZES = ((256, 256, 256), (1024, 1024, 1024), (4096, 4096, 4096), (1000, 333, 777), (4095, 1023, 2049))
IMAGES: Images = (
    *NETWORKS,
    ((5, 13, 11, 17), 3, 23, 1, 1),  # ragged
    ((64, 28, 28, 64), 3, 64, 1, 1),
    ((64, 14, 14, 128), 4, 256, 2, 1),
    ((128, 16, 16, 128), 3, 128, 1, 1),
)


@dataclass
class Case:
    """One kernel at one size, on both sides."""

    operation: str
    shape: str
    precision: str
    arrays: tuple[Any, ...]
    ours: Callable[..., Any]
    exact: Callable[..., Any]  # of float64 arrays on the CPU
    peer: Callable[[Any, tuple[Any, ...]], Callable[[], Any]]  # of torch and arrays: the call to time


@dataclass
class Row:
    """One line of the table; None where it was not measured, and `note` says why."""

    operation: str
    shape: str
    precision: str
    error: float | None = None
    ours_ms: float | None = None
    peer_ms: float | None = None
    note: str = ""

    @property
    def of_peer(self) -> float | None:
        """Our speed as a share of the peer's."""
        return self.peer_ms / self.ours_ms if self.ours_ms and self.peer_ms else None


@dataclass
class Device:
    """Where our arrays go, and how to wait for it."""

    to: Callable[[Any], Any]
    wait: Callable[[], object]
    torch: Any = None
    name: str = "cuda"


def matrix_cases(sizes: tuple[tuple[int, int, int], ...] = SIZES) -> Iterator[Case]:
    """Products in the three precisions."""
    for m, n, k in sizes:
        a, b = Key(m).normal((m, k)), Key(n).normal((k, n))
        for precision in tiling.PRECISIONS:
            kind = "bfloat16" if precision == "bf16" else "float32"

            def peer(torch: Any, arrays: tuple[Any, ...], kind: str = kind) -> Callable[[], Any]:
                there = [torch.as_tensor(x, device="cuda").to(getattr(torch, kind)) for x in arrays]
                return lambda: torch.mm(*there)

            yield Case("matmul", f"{m} x {n} x {k}", precision, (a, b), matmul.matmul, np.matmul, peer)


def rung_cases(side: int = 4096) -> Iterator[Case]:
    """The ladder of lesson 10: every rung that teaches, against the library's product in float32."""
    a, b = Key(11).normal((side, side)), Key(12).normal((side, side))

    def peer(torch: Any, arrays: tuple[Any, ...]) -> Callable[[], Any]:
        there = [torch.as_tensor(x, device="cuda") for x in arrays]
        return lambda: torch.mm(*there)

    exact: list[Any] = []

    def once(a: Any, b: Any) -> Any:
        if not exact:
            exact.append(a @ b)
        return exact[0]

    for rung in ladder.TEACHING:
        teach = lambda a, b, rung=rung: ladder.teach(rung, a, b)
        yield Case(f"matmul, {rung}", f"{side} x {side} x {side}", "float32", (a, b), teach, once, peer)


def image_cases(images: Images = IMAGES) -> Iterator[Case]:
    """Convolutions, forward and both gradients, against float32 and tf32."""
    for shape, size, outputs, stride, padding in images:
        x, w = Key(1).normal(shape), Key(2).normal((size, size, shape[3], outputs))
        out = (shape[1] + 2 * padding - size) // stride + 1
        dy = Key(3).normal((shape[0], out, (shape[2] + 2 * padding - size) // stride + 1, outputs))
        where = {"stride": stride, "padding": padding}
        calls: dict[str, tuple[tuple[Any, ...], Callable[..., Any]]] = {
            "forward": ((x, w), lambda x, w, o=where: conv2d.forward(x, w, **o)),
            "input gradient": ((dy, w), lambda dy, w, s=shape, o=where: conv2d.input_gradient(dy, w, s, **o)),
            "weight gradient": ((x, dy), lambda x, dy, k=size, o=where: conv2d.weight_gradient(x, dy, (k, k), **o)),
        }
        for (name, (arrays, call)), precision in ((c, p) for c in calls.items() for p in ("float32", "tf32")):

            def peer(torch: Any, arrays: Any, of: Any = (name, shape, size, where)) -> Callable[[], Any]:
                return _torch_conv(torch, arrays, *of)

            yield Case(f"conv2d {name}", image_title(shape, size, outputs, stride), precision, arrays, call, call, peer)


def image_title(shape: tuple[int, ...], size: int, outputs: int, stride: int) -> str:
    """A convolution's sizes, as its row has them."""
    return f"{' x '.join(map(str, shape))}, {outputs} by {size} x {size}, stride {stride}"


def _torch_conv(torch: Any, arrays: Any, name: str, shape: Any, size: int, where: Any) -> Callable[[], Any]:
    channels_last = torch.channels_last
    first, second = (torch.as_tensor(x, device="cuda") for x in arrays)
    first = first.permute(0, 3, 1, 2).contiguous(memory_format=channels_last)
    order = (0, 3, 1, 2) if name == "weight gradient" else (3, 2, 0, 1)
    second = second.permute(*order).contiguous(memory_format=channels_last)
    grad = torch.nn.grad
    if name == "forward":
        return lambda: torch.nn.functional.conv2d(first, second, **where)
    if name == "input gradient":
        return lambda: grad.conv2d_input((shape[0], shape[3], *shape[1:3]), second, first, **where)
    return lambda: grad.conv2d_weight(first, (second.shape[1], shape[3], size, size), second, **where)


def memory_cases(numbers: int = 1 << 24, rows: int = 1 << 12) -> Iterator[Case]:
    """What is bound by memory: activations, softmax, normalisation, Adam; and attention, which is where it is not fused."""
    flat, table = Key(5).normal(numbers), Key(6).normal((rows, numbers // rows))
    title, shape = str(numbers), f"{rows} x {numbers // rows}"

    def of(call: Callable[..., Any]) -> Callable[[Any, tuple[Any, ...]], Callable[[], Any]]:
        def peer(torch: Any, arrays: tuple[Any, ...]) -> Callable[[], Any]:
            there = [torch.as_tensor(x, device="cuda") for x in arrays]
            return lambda: call(torch, *there)

        return peer

    silu = lambda x: activation.forward("silu", x)
    yield Case("silu", title, "float32", (flat,), silu, silu, of(lambda torch, x: torch.nn.functional.silu(x)))
    softmax_of = of(lambda torch, x: torch.softmax(x, -1))
    yield Case("softmax", shape, "float32", (table,), softmax.forward, softmax.forward, softmax_of)
    moments = lambda x: np.stack(normalise.moments(x[None]))
    yield Case("moments", shape, "float32", (table,), moments, moments, of(lambda torch, x: torch.var_mean(x, 0)))

    def stepped(theta: Any, grad: Any, m: Any, v: Any) -> Any:
        adam.step(theta, grad, m, v, rate=1e-3, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=0.0, t=1)
        return theta

    zeros = np.zeros(numbers, np.float32)
    yield Case("adam", title, "float32", (flat, flat[::-1].copy(), zeros, zeros.copy()), stepped, stepped, _torch_adam)
    q, k, v = (Key(name).normal((max(1, rows // 64), min(256, rows), 64)) for name in (7, 8, 9))
    attended = lambda q, k, v: attention.forward(q, k, v)[0]
    fused = of(lambda torch, q, k, v: torch.nn.functional.scaled_dot_product_attention(q, k, v))
    yield Case("attention", " x ".join(map(str, q.shape)), "float32", (q, k, v), attended, _attention, fused)


def _attention(q: Any, k: Any, v: Any) -> Any:
    """softmax(q k' / sqrt(d)) v, plainly."""
    scores = q @ np.swapaxes(k, 1, 2) / np.sqrt(q.shape[-1])
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True) @ v


def _torch_adam(torch: Any, arrays: tuple[Any, ...]) -> Callable[[], Any]:
    """PyTorch's fused Adam of one flat parameter."""
    theta = torch.nn.Parameter(torch.as_tensor(arrays[0], device="cuda"))
    theta.grad = torch.as_tensor(arrays[1], device="cuda")
    optimizer = torch.optim.Adam([theta], 1e-3, fused=True)
    return lambda: optimizer.step()


def timed(
    device: Device, ours: Callable[[], Any], peer: Callable[[], Any] | None, runs: int = 7, each: int = 5
) -> tuple[float, float | None]:
    """Milliseconds of a call, ours and the peer's in turn, warm: the medians."""
    times: tuple[list[float], list[float]] = [], []
    for run in range(runs + 2):
        for kept, call in ((times[0], ours), *(((times[1], peer),) if peer else ())):
            device.wait()
            start = time.perf_counter()
            for _ in range(each):
                call()
            device.wait()
            if run >= 2:
                kept.append((time.perf_counter() - start) / each * 1e3)
    return float(np.median(times[0])), float(np.median(times[1])) if peer else None
