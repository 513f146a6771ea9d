"""What a program's operations have to do: multiplications and memory, counted at the one door through which all of them pass.

    with tally() as seen:
        model.step(batch, key)
    milliseconds = 1e3 * floor(seen, flops=300e9, bandwidth=20e9)

Every operation asks its ladder for a rung (`dispatch.py`). While a tally is open the rung is handed out inside an observer,
which lets the call through and writes down what it had to do. The hot path is not touched: without a tally, one comparison.

*Memory* is what must be read and written once: every array among the arguments, and every array that the call returns or
changes. An `out` is written; it is read too where the call adds to it. Which arguments a call changes is found by comparing
them before and after, so an update in place needs no entry in a table. What a rung writes down for itself (panels, patches,
frames) is its own affair and not counted.

*Arithmetic* is that of the matrix products, two for each multiplication, since for everything else memory takes longer; a tap
of a convolution that looks at the frame of zeros is no work. It is the definition's: Winograd's algorithm may do with less.

The **floor** of an operation is the longer of arithmetic / rate and memory / bandwidth, and that of a program the sum: what it
would take if every operation ran at the machine's best, one after the other. Fusing two operations lowers it, and arrays that
stay in a cache can beat it. NumPy's own passes, outside the operations, are not seen.
"""

from __future__ import annotations

import inspect
import math
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from . import dispatch


class Operation(NamedTuple):
    """One call."""

    name: str  # "conv2d.forward"
    rung: str  # "direct"
    flops: int  # multiplications and additions of matrix products
    read: int  # bytes
    written: int

    def seconds(self, flops: float, bandwidth: float) -> float:
        """The longer of the two, at `flops` operations and `bandwidth` bytes a second."""
        return max(self.flops / flops, (self.read + self.written) / bandwidth)


def floor(seen: Iterable[Operation], flops: float, bandwidth: float) -> float:
    """Seconds for all of them, one after the other."""
    return sum(operation.seconds(flops, bandwidth) for operation in seen)


@contextmanager
def tally() -> Iterator[list[Operation]]:
    """Within it, every operation is written into the list. Calls are slower: it is for counting, not for timing."""
    seen: list[Operation] = []
    observed = cache(lambda rung: Observed(rung, seen))  # one for each: wrappers compare rungs by `is`
    before, dispatch._watch = dispatch._watch, observed
    try:
        yield seen
    finally:
        dispatch._watch = before


class Observed:
    """A rung whose calls are written down into a list: what a tally hands out, and what counts one call of one rung."""

    def __init__(self, rung: Any, seen: list[Operation]) -> None:
        self._rung, self._seen = rung, seen

    def __getattr__(self, function: str) -> Any:
        run = getattr(self._rung, function)
        _, _, operation, rung = self._rung.__name__.rsplit(".", 3)
        if not hasattr(sys.modules[self._rung.__name__.rpartition(".")[0]], function):
            return run  # not one of the operation's functions: what a wrapper asks a rung about

        def observed(*args: Any, **options: Any) -> Any:
            bound = inspect.signature(run).bind(*args, **options)
            bound.apply_defaults()
            given = bound.arguments
            arrays = {(name, i): x for name, value in given.items() for i, x in enumerate(_arrays(value))}
            before = {place: x.copy() for place, x in arrays.items()}
            result = run(*args, **options)
            changed = {place for place, x in arrays.items() if not np.array_equal(x, before[place], equal_nan=True)}
            read = [x for (name, _), x in arrays.items() if name != "out" or given.get("accumulate")]
            written = [x for place, x in arrays.items() if place in changed or place[0] == "out"] + list(_arrays(result))
            name = f"{operation}.{function}"
            flops = 2 * MULTIPLICATIONS[name](given, result) if name in MULTIPLICATIONS else 0
            self._seen.append(Operation(name, rung, flops, _bytes(read), _bytes(written)))
            return result

        return observed


def _arrays(tree: Any) -> Iterator[np.ndarray[Any, Any]]:
    if isinstance(tree, np.ndarray):
        yield tree
    elif isinstance(tree, tuple | list):
        for part in tree:
            yield from _arrays(part)


def _bytes(arrays: Iterable[np.ndarray[Any, Any]]) -> int:
    """Each array once, by where it lies."""
    return sum({(x.ctypes.data, x.shape, x.strides): x.nbytes for x in arrays}.values())


# ---- multiplications


def _matmul(given: dict[str, Any], result: Any) -> int:
    a = given["a"]
    inner: int = a.shape[0] if given["transpose_a"] else a.shape[1]
    return inner * result.size


def meetings(size: int, out: int, kernel: int, stride: int, padding: int, dilation: int) -> int:
    """Along one axis: the pairs of an output position and a tap of the kernel that meet inside the image."""
    return sum(0 <= p * stride + r * dilation - padding < size for p in range(out) for r in range(kernel))


def _conv2d(image: Any, kernel: Any, out: Any, channels: int, given: dict[str, Any]) -> int:
    """image (N, H, W, C), kernel (kh, kw), out (N, Ho, Wo, M): the same in all three passes."""
    pairs = [
        meetings(image[1 + i], out[1 + i], kernel[i], *(_pair(given[name])[i] for name in ("stride", "padding", "dilation")))
        for i in (0, 1)
    ]
    return image[0] * math.prod(pairs) * channels * out[3]


def _pair(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else value


def _masked(images: Any, taps: Any, outputs: int) -> int:
    """images (N, H, W, C): a tap (r, s) meets H - |r| rows and W - |s| columns."""
    n, height, width, channels = images
    pixels = sum(max(0, height - abs(r)) * max(0, width - abs(s)) for r, s in taps)
    return int(n * pixels * channels * outputs)


def _attention(q: Any, keys: int, causal: bool) -> int:
    """Of one product with the weights (B, T, S), q (B, T, d); nobody looks at a key after a query where it is causal."""
    b, queries, channels = q
    return int(b * channels * (queries * (queries + 1) // 2 if causal else queries * keys))


MULTIPLICATIONS: dict[str, Callable[[dict[str, Any], Any], int]] = {
    "matmul.matmul": _matmul,
    "attention.forward": lambda given, made: 2 * _attention(given["q"].shape, given["k"].shape[1], given["causal"]),
    "attention.gradient": lambda given, made: 5 * _attention(given["q"].shape, given["k"].shape[1], given["causal"]),
    "conv2d.forward": lambda given, y: _conv2d(given["x"].shape, given["w"].shape[:2], y.shape, given["w"].shape[2], given),
    "conv2d.input_gradient": lambda given, dx: _conv2d(
        given["x_shape"], given["w"].shape[:2], given["dy"].shape, given["w"].shape[2], given
    ),
    "conv2d.weight_gradient": lambda given, dw: _conv2d(
        given["x"].shape, given["kernel_shape"], given["dy"].shape, dw.shape[2], given
    ),
    "masked_conv2d.forward": lambda given, y: _masked(given["x"].shape, given["taps"], y.shape[3]),
    "masked_conv2d.input_gradient": lambda given, dx: _masked(given["dy"].shape, given["taps"], dx.shape[3]),
    "masked_conv2d.weight_gradient": lambda given, dw: _masked(given["x"].shape, given["taps"], dw.shape[2]),
}
