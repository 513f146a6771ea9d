"""MaskedConv2d: a convolution that looks at some pixels around its own, and computes with no others.

    y[n, p, q] = b + sum_l x[n, p + r_l, q + s_l] W_l,        (r_l, s_l) = taps[l],  x zero outside the image

An autoregressive model of images must not see the pixel that it predicts, nor any after it in raster order (row by row). Van
den Oord et al. (2016) multiply a kernel by a mask of zeros. Here a hidden tap is not there: W holds one matrix for every tap
that is seen, and the four passes are those of every convolution, from its three products (conv2d.py). Which pixels are seen:

    raster A   X X X X X      raster B   X X X X X      vertical A   X X X X X      horizontal A   X X o
               X X X X X                 X X X X X                   X X X X X      horizontal B   X X X
               X X o                     X X X                           o
                                                        vertical B   the own row too

o is the pixel itself. A hides it, B shows it: the first layer of a network is of kind A, and all others may be of kind B, since
what they see of "the pixel itself" was computed from those before it. In a vertical stack the own row takes the pixel's place.

Sampling goes along a stream (layer.py), in one of two ways:

    stream(N)           position t is row t, x_t (N, W, C): for taps that look at no row below
    stream(N, W)        position t is pixel t in raster order, x_t (N, C): for taps that look at no pixel after it

Where all taps lie before the position, y_t is wanted before x_t is known: then the memory is `late`, and advance takes
x_(t-1). The memory holds as many rows as the taps reach up, however large the image is. What the rows above give to a new row
is computed at once when the row begins, so that a pixel costs the taps of its own row alone.

N batch, H, W sizes, C inputs, M outputs, L taps, R rows that the taps reach up, F columns that they reach to the left.
"""

from __future__ import annotations

from typing import Any

from ..backend import Array, Shape, zeros
from ..kernels import masked_conv2d
from ..kernels.masked_conv2d import Taps
from .conv2d import Convolution
from .elementwise import Elementwise
from .initialisers import fan_in_uniform
from .vector import Initialiser, Spec


def raster(mask: str, kernel: int) -> Taps:
    """Masks A and B: the pixels of a square kernel before its middle in raster order; under B the middle too."""
    return tuple(tap for tap in _square(mask, kernel) if tap < (0, mask == "B"))


def vertical(mask: str, kernel: int) -> Taps:
    """The rows of a square kernel above its middle; under B the middle's row too."""
    return tuple((r, s) for r, s in _square(mask, kernel) if r < (mask == "B"))


def horizontal(mask: str, kernel: int) -> Taps:
    """The pixels of a row to the left of its middle; under B the middle too."""
    return tuple((r, s) for r, s in raster(mask, kernel) if r == 0)


def spread(taps: Taps, dilation: int) -> Taps:
    """The taps `dilation` times as far away: a wider view at the same price."""
    return tuple((dilation * r, dilation * s) for r, s in taps)


def _square(mask: str, kernel: int) -> Taps:
    if mask not in ("A", "B") or kernel < 1 or kernel % 2 == 0 or (mask, kernel) == ("A", 1):
        raise ValueError(
            f"mask {mask!r} of a kernel of {kernel}: masks are 'A' and 'B', kernels odd, and A leaves nothing of 1"
        )
    reach = range(-(kernel // 2), kernel // 2 + 1)
    return tuple((r, s) for r in reach for s in reach)


class Strip:
    """The memory of a stream: the last rows, framed by zeros, and of the newest one what its taps above give to it."""

    def __init__(self, batch: int, width: int | None, late: bool) -> None:
        self.batch, self.width, self.late = batch, width, late
        self.t = 0  # the pixel that comes next
        self.rows: list[Array] = []  # (N, F + W + columns to the right, C); the newest last, R + 1 at most
        self.begun = zeros(0)  # (N, W, M), in a stream of pixels: b and what the rows above give to the newest


class MaskedConv2d(Convolution):
    """(N, H, W, inputs) -> (N, H, W, outputs) by `taps`, such as raster("A", 7), with W (L, inputs, outputs).

    Raises ValueError where x is not (N, H, W, inputs), where a tap comes twice or there is none, and where a stream would have
    to see what comes later.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        taps: Taps,
        *,
        bias: bool = True,
        activation: Elementwise | None = None,
        initialiser: Initialiser = fan_in_uniform,
    ) -> None:
        if not taps or len(set(taps)) < len(taps):
            raise ValueError(f"MaskedConv2d({inputs}, {outputs}) got taps {taps}: at least one, and each once")
        super().__init__(inputs, outputs, Spec((len(taps), inputs, outputs), initialiser), bias, activation)
        self.taps: Taps = tuple(sorted(taps))  # in raster order: the rows above come first
        columns = [0, *(s for _, s in taps)]
        self.up, self.left, self.right = max(0, -self.taps[0][0]), -min(columns), max(columns)
        self.above = sum(r < 0 for r, _ in self.taps)  # how many look at the rows above

    # ---- the three products

    def product(self, x: Array, W: Array, **finish: Any) -> Array:
        return masked_conv2d.forward(x, W, self.taps, **finish)

    def product_dx(self, dy: Array, W: Array, x_shape: Shape) -> Array:
        return masked_conv2d.input_gradient(dy, W, self.taps)

    def product_dW(self, x: Array, dy: Array, **into: Any) -> Array:
        return masked_conv2d.weight_gradient(x, dy, self.taps, **into)

    # ---- one position at a time

    def stream(self, batch: int, width: int | None = None) -> Strip:
        last = self.taps[-1]  # the latest in raster order
        if last[0] > 0 or (width is not None and last > (0, 0)):
            what = "a row below its own" if width is None else "a pixel after its own"
            raise NotImplementedError(f"MaskedConv2d does not stream: its tap {last} looks at {what}")
        return Strip(batch, width, late=last[0] < 0 or (width is not None and last < (0, 0)))

    def advance(self, x_t: Array, memory: Strip) -> Array:
        u = self._row(x_t, memory) if memory.width is None else self._pixel(x_t, memory, memory.width)
        return u if self.activation is None else self.activation.f(u)

    def _row(self, x_t: Array, memory: Strip) -> Array:
        """x_t (N, W, C) -> y_t (N, W, M)."""
        width = x_t.shape[1]
        inside = slice(self.left, self.left + width)
        if memory.late and memory.rows:
            memory.rows[-1][:, inside] = x_t
        self._begin_row(memory, width)
        if not memory.late:
            memory.rows[-1][:, inside] = x_t
        return self._of_rows(memory.rows, len(self.taps), width)

    def _pixel(self, x_t: Array, memory: Strip, width: int) -> Array:
        """x_t (N, C) -> y_t (N, M)."""
        column = memory.t % width
        if memory.late and memory.t:
            memory.rows[-1][:, self.left + (memory.t - 1) % width] = x_t
        if column == 0:
            self._begin_row(memory, width)
            memory.begun = self._of_rows(memory.rows, self.above, width)
        row = memory.rows[-1]
        if not memory.late:
            row[:, self.left + column] = x_t
        memory.t += 1
        W, y_t = self.weights().W, memory.begun[:, column]
        for l in range(self.above, len(self.taps)):
            y_t = y_t + row[:, self.left + column + self.taps[l][1]] @ W[l]
        return y_t

    def _begin_row(self, memory: Strip, width: int) -> None:
        """One more row, of zeros, in place of the oldest."""
        W = self.params["W"]
        row = zeros((memory.batch, self.left + width + self.right, self.inputs), W.dtype, like=W)
        memory.rows = [*memory.rows, row][-self.up - 1 :]

    def _of_rows(self, rows: list[Array], taps: int, width: int) -> Array:
        """b and the sum over the first `taps` for all pixels of the newest row: (N, W, M)."""
        w = self.weights()
        y = zeros((len(rows[-1]), width, self.outputs), w.W.dtype, like=w.W)
        if self.bias:
            y += w.b
        for l, (r, s) in enumerate(self.taps[:taps]):
            if -r < len(rows):  # above the image there are zeros
                y += rows[r - 1][:, self.left + s : self.left + s + width] @ w.W[l]
        return y
