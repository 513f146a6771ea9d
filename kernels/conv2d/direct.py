"""Direct convolution by register tiles, in the time of a library's: no patches are ever copied out (im2col).

All three passes are matrix products whose one factor is gathered through tables of positions (see `tables.py`):

    y[t, m]  = sum over e of x[start[t] + offset[e]] w[e, m]            e runs over taps and channels, t over output pixels
    dx[t, c] = sum over e of dy[start[t] + offset[e]] w'[e, c]          the same kernel, one call for each phase of the stride
    dw[e, m] = sum over t of x[start[t] + offset[e]] dy[t, m]

Against the definition: there every tap is a pass of its own over x and y, and its windows are copied to be multiplied. Here a
tile of the result stays in registers through the whole sum, as in `matmul/register_tile.py`, which explains the loop order, the
panels and why positions are unsigned. Pixels are counted through rows and images, so ragged sizes cost nothing but
the last tile.

The weight gradient has few results and long sums. Each part (one for each thread) takes a range of pixels and a dw of its own;
chunks of CHUNK pixels stay in the cache while all tiles of dw pass over them. The parts are added in order at the end, so
the result is equal bit for bit at an equal number of threads.

Both kernels exist for tiles of several widths, since a panel that is half empty costs as much as a full one: with one width for
all, a gradient towards 16 channels took twice its time. A width must be known when the kernel is compiled.

Groups run one after the other, each as a convolution of its own whose channels lie apart: the tables of the first serve all,
with x and y begun at the group's first channel. Groups of one channel would leave the tiles empty: they are in `depthwise.py`.

Legend: N images, H, W input size, C input channels, kh, kw kernel, Ho, Wo output size, M output channels, T pixels, E taps with
their channels of one group, i, o a group's channels of x and y, J panels of COLUMNS columns. x (N, H, W, C),
w (kh, kw, C / groups, M), y (N, Ho, Wo, M).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from minigen.backend import Array, Shape, empty, zeros

from ..arguments import contiguous, output
from ..jit import WIDE, compiled, compiled_for_one, registers
from ..matmul import register_tile
from ..pool import thread_count
from . import depthwise, tables, thin
from .definition import runs
from .frame import framed
from .geometry import Geometry, Pair, geometry

# The tiles of y and dx, the widest first. With 8 x 2 registers of the 32 for a tile, too few are left where the compiler takes
# two steps at once: it put one sum into memory and out again at every step, a fifth slower than 7 x 2.
PIXELS, COLUMNS = (7, (32, 16)) if WIDE else (6, (16, 8))
GROUP = 8 * PIXELS  # pixels that one task takes through all panels
TAPS, WIDTHS = ((6, 8, 9), (64, 32, 16)) if WIDE else ((6, 9), (16, 8))  # the tiles of dw
CHUNK = 512


def forward(
    x: Array,
    w: Array,
    *,
    stride: int | Pair = 1,
    padding: int | Pair = 0,
    dilation: int | Pair = 1,
    groups: int = 1,
    out: Array | None = None,
) -> Array:
    """x, w -> y (N, Ho, Wo, M)."""
    g = geometry(x.shape[1:3], w.shape[:2], stride=stride, padding=padding, dilation=dilation)
    n, c, m = x.shape[0], x.shape[3], w.shape[3]
    y = output(out, (n, *g.output, m), x.dtype, like=x)
    x = padded(x, g)
    if groups == 1 and g.kernel == g.stride == (1, 1) and m > COLUMNS[-1]:  # a matrix product as it stands
        register_tile.matmul(x.reshape(-1, c), w.reshape(c, m), out=y.reshape(-1, m))
    else:
        product(x, w.reshape(-1, m), y, groups, *tables.forward(n, g, c, m, groups))
    return y


def input_gradient(
    dy: Array,
    w: Array,
    x_shape: Shape,
    *,
    stride: int | Pair = 1,
    padding: int | Pair = 0,
    dilation: int | Pair = 1,
    groups: int = 1,
    out: Array | None = None,
) -> Array:
    """dy (N, Ho, Wo, M), w -> dx (N, H, W, C)."""
    g = geometry(x_shape[1:3], w.shape[:2], stride=stride, padding=padding, dilation=dilation)
    n, c, m = x_shape[0], x_shape[3], w.shape[3]
    dx = output(out, x_shape, dy.dtype, like=dy)
    if groups == 1 and g.kernel == g.stride == (1, 1) and g.padding == (0, 0) and c > COLUMNS[-1]:
        register_tile.matmul(dy.reshape(-1, m), w.reshape(c, m), transpose_b=True, out=dx.reshape(-1, c))
        return dx
    frame, phases = tables.backward(n, g, c, m, groups)
    dy, w = framed(dy, *frame), contiguous(w)
    whole = groups == 1 and not thin.fits(c, m)
    for phase in phases:
        if whole:
            tile = best(c, COLUMNS)
            turned = turned_panels(w.reshape(-1, c, m), phase.taps, COLUMNS[tile])
            gathered_product[tile](dy.reshape(-1), turned, dx.reshape(-1), phase.start, phase.offset, phase.place, c)
        else:
            product(dy, w.reshape(-1).take(phase.weights), dx, groups, phase.start, phase.offset, phase.place)
    return dx


def weight_gradient(
    x: Array,
    dy: Array,
    kernel_shape: Pair,
    *,
    stride: int | Pair = 1,
    padding: int | Pair = 0,
    dilation: int | Pair = 1,
    groups: int = 1,
    out: Array | None = None,
    accumulate: bool = False,
) -> Array:
    """x, dy -> dw (kh, kw, C / groups, M), or out += dw."""
    g = geometry(x.shape[1:3], kernel_shape, stride=stride, padding=padding, dilation=dilation)
    n, c, m = x.shape[0], x.shape[3], dy.shape[3]
    dw = output(out, (*g.kernel, c // groups, m), x.dtype, like=x)
    start, offset, _ = tables.forward(n, g, c, m, groups)
    x_flat = padded(x, g).reshape(-1)
    if depthwise.fits(groups, c, m):
        parts = depthwise.outer_product(x_flat, contiguous(dy).reshape(-1, m), start, offset, thread_count())
        add_up(parts, dw, accumulate)
    else:
        for i, o in runs(groups, c, m):
            parts = outer_product(x_flat[i.start :], dy[..., o], start, offset, c // groups)
            add_up(parts, dw[..., o], accumulate)
    return dw


def product(x: Array, w: Array, y: Array, groups: int, start: Array, offset: Array, place: Array) -> None:
    """y at `place` from x at `start` and w (E, M), by the kernel that fits; x and y contiguous."""
    c, m = x.shape[3], y.shape[3]
    x_flat, y_flat = x.reshape(-1), y.reshape(-1)
    if depthwise.fits(groups, c, m):
        depthwise.product(x_flat, contiguous(w), y_flat, start, offset, place)
        return
    for i, o in runs(groups, c, m):
        w_run, x_run, y_run = w[:, o], x_flat[i.start :], y_flat[o.start :]
        if thin.fits(m // groups, c // groups):
            thin.product(x_run, contiguous(w_run.T), y_run, start, offset[:: thin.LANES].copy(), place)
        else:
            tile = best(m // groups, COLUMNS)
            gathered_product[tile](x_run, panels(w_run, COLUMNS[tile]), y_run, start, offset, place, m // groups)


def outer_product(x: Array, dy: Array, start: Array, offset: Array, channels: int) -> Array:
    """The parts of one group's dw, (threads, E, M), by the kernel that fits; x flat, with `channels` of its own in a pixel."""
    m, threads = dy.shape[3], thread_count()
    if thin.fits(m, channels):
        parts = empty((threads, m, len(offset)), x.dtype)
        flat = contiguous(dy).reshape(-1, m)
        thin.outer_product(x, flat, parts, start, offset[:: thin.LANES].copy())
        return parts.swapaxes(1, 2)
    tile = best(m, WIDTHS)
    wide = full_width(dy, WIDTHS[tile])  # (T, J width)
    parts = empty((threads, len(offset), wide.shape[1]), x.dtype)
    gathered_outer_product[tile](x, wide, parts, start, offset)
    return parts[:, :, :m]


def add_up(parts: Array, dw: Array, accumulate: bool) -> None:
    """dw = the sum of its parts (threads, E, M), in order, or dw += it."""
    for number, part in enumerate(parts):
        if number > 0 or accumulate:
            dw += part.reshape(dw.shape)
        else:
            dw[...] = part.reshape(dw.shape)


# ---- laying out


def padded(x: Array, g: Geometry) -> Array:
    """x in its frame of zeros, contiguous."""
    (rows, columns) = g.padding
    return framed(x, (rows, rows), (columns, columns))


def best(m: int, widths: tuple[int, ...]) -> int:
    """Which tile makes `m` channels soonest: a panel costs its width, empty or not, and what does not grow with the width."""
    return min(range(len(widths)), key=lambda tile: -(-m // widths[tile]) * (widths[tile] + 8))


def panels(matrix: Array, width: int) -> Array:
    """(E, M) -> (J, E, width), zeros beyond column M."""
    depth, columns = matrix.shape
    whole, rest = divmod(columns, width)
    made = empty((whole + (rest > 0), depth, width), matrix.dtype)
    made[:whole] = matrix[:, : whole * width].reshape(depth, whole, width).swapaxes(0, 1)
    if rest:
        made[whole, :, :rest] = matrix[:, whole * width :]
        made[whole, :, rest:] = 0
    return made


def turned_panels(w: Array, taps: Array, width: int) -> Array:
    """The panels (J, E, width) of some taps of w (kh kw, C, M), inputs and outputs exchanged: E = taps M, zeros beyond C."""
    _, c, m = w.shape
    made = empty((-(-c // width), len(taps) * m, width), w.dtype)
    turn(w, taps, made)
    return made


def full_width(dy: Array, width: int) -> Array:
    """dy as (T, J width), zeros beyond column M."""
    flat = contiguous(dy).reshape(-1, dy.shape[3])
    if flat.shape[1] % width == 0:
        return flat
    made = zeros((flat.shape[0], -(-flat.shape[1] // width) * width), dy.dtype)
    made[:, : flat.shape[1]] = flat
    return made


# ---- the kernels


@compiled_for_one
def turn(w: Array, taps: Array, panels: Array) -> None:
    """panels[j, t M + m, q] = w[taps[t], j width + q, m]. NumPy's `take` and `panels` need twice as long."""
    C, M, width = np.uint64(w.shape[1]), np.uint64(w.shape[2]), np.uint64(panels.shape[2])
    for t in range(np.uint64(taps.shape[0])):
        for j in range(np.uint64(panels.shape[0])):
            for q in range(width):
                c = j * width + q
                if c < C:
                    for m in range(M):
                        panels[j, t * M + m, q] = w[taps[t], c, m]
                else:
                    for m in range(M):
                        panels[j, t * M + m, q] = 0


def product_kernel(COLUMNS: int) -> Any:
    """The kernel with a tile of so many channels, which the compiler must know to keep it in registers."""

    @compiled
    def gathered_product(x: Array, panels: Array, y: Array, start: Array, offset: Array, place: Array, columns: int) -> None:
        """y[place[t] + m] = sum over e of x[start[t] + offset[e]] panels[m // COLUMNS, e, m % COLUMNS] for m < columns."""
        pixels = start.shape[0]
        for group in prange((pixels + GROUP - 1) // GROUP):
            first = group * GROUP
            last = min(pixels, first + GROUP) - 1
            tile = registers(PIXELS, COLUMNS, x.dtype)
            for j in range(panels.shape[0]):
                left = j * COLUMNS
                width = min(COLUMNS, columns - left)
                for t in range(first, last + 1, PIXELS):
                    for m in range(PIXELS):
                        for q in range(COLUMNS):
                            tile[m, q] = 0
                    for e in range(offset.shape[0]):
                        for q in range(COLUMNS):
                            b = panels[j, e, q]
                            for m in range(PIXELS):
                                tile[m, q] += x[start[min(t + m, last)] + offset[e]] * b
                    for m in range(min(PIXELS, last + 1 - t)):
                        first_of_row = place[t + m] + np.uint64(left)
                        if width == COLUMNS:  # a constant length is copied in whole registers
                            for q in range(COLUMNS):
                                y[first_of_row + np.uint64(q)] = tile[m, q]
                        else:
                            for q in range(width):
                                y[first_of_row + np.uint64(q)] = tile[m, q]

    return gathered_product


def outer_product_kernel(TAPS: int, WIDTH: int) -> Any:
    """The same with a tile of so many taps and channels."""

    T, W, K, ONE, ZERO = (np.uint64(n) for n in (TAPS, WIDTH, CHUNK, 1, 0))

    @compiled
    def gathered_outer_product(x: Array, dy: Any, parts: Array, start: Array, offset: Any) -> None:
        """The parts (parts, E, J WIDTH) of dw, each from its range of the pixels of dy (T, J WIDTH)."""
        pixels, taps, panels = np.uint64(start.shape[0]), np.uint64(offset.shape[0]), np.uint64(dy.shape[1]) // W
        for part in prange(parts.shape[0]):
            here, count = np.uint64(part), np.uint64(parts.shape[0])
            parts[here] = 0
            end: Any = pixels * (here + ONE) // count
            tile = registers(TAPS, WIDTH, x.dtype)
            for first in range(pixels * here // count, end, K):
                for e in range(ZERO, taps, T):
                    for j in range(panels):
                        for m in range(T):
                            for q in range(W):
                                tile[m, q] = 0
                        for t in range(first, min(end, first + K)):
                            for q in range(W):
                                b = dy[t, j * W + q]
                                for m in range(T):
                                    tile[m, q] += x[start[t] + offset[min(e + m, taps - ONE)]] * b
                        for m in range(min(T, taps - e)):
                            for q in range(W):
                                parts[here, e + m, j * W + q] += tile[m, q]

    return gathered_outer_product


gathered_product = tuple(product_kernel(columns) for columns in COLUMNS)
gathered_outer_product = tuple(outer_product_kernel(*tile) for tile in zip(TAPS, WIDTHS, strict=True))
