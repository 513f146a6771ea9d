"""Direct convolution by register tiles, in the time of a library's: no patches are ever copied out (im2col).

All three passes are matrix products whose one factor is gathered through tables of positions (see `tables.py`):

    y[t, m]  = sum over e of x[start[t] + offset[e]] w[e, m]            e runs over taps and channels, t over output pixels
    dx[t, c] = sum over e of dy[start[t] + offset[e]] w'[e, c]          the same kernel, for every phase of the stride
    dw[e, m] = sum over t of x[start[t] + offset[e]] dy[t, m]

Against the definition: there every tap is a pass of its own over x and y, and its windows are copied to be multiplied. Here a
tile of the result stays in registers through the whole sum (`tiles.py`). Pixels are counted through rows and images, so ragged
sizes cost nothing but the last tile.

The weight gradient has few results and long sums. The threads share out the pixels, each with a dw of its own, and the parts
are added in order at the end, so the result is equal bit for bit at an equal number of threads. Up to FEW_PIXELS that costs
more than it spares: then they share out the rows of dw, and weights are read where they lie, not laid out in panels.

Groups run one after the other, each as a convolution of its own whose channels lie apart: the tables of the first serve all,
with x and y begun at the group's first channel. Groups of one channel would leave the tiles empty: they are in `depthwise.py`.

Legend: N images, H, W input size, C input channels, kh, kw kernel, Ho, Wo output size, M output channels, T pixels, E taps with
their channels of one group, i, o a group's channels of x and y, J panels of so many columns. x (N, H, W, C),
w (kh, kw, C / groups, M), y (N, Ho, Wo, M).
"""

from __future__ import annotations

from minigen.backend import Array, Shape, empty, zeros

from ..arguments import output
from ..combine import contiguous
from ..matmul import register_tile
from ..pool import thread_count
from . import depthwise, fold, tables, thin
from .definition import runs
from .frame import framed
from .geometry import Geometry, Pair, geometry
from .tiles import COLUMNS, OUTER_PRODUCT, PRODUCT, TAPS, WIDTHS, best, tasks, turn

FEW_PIXELS = 512  # up to which laying out or adding up takes longer than what it spares
TILES_EACH = 8  # for each thread, from which dw can be shared out by rows: one more or less is an eighth at most


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
    if not dx.size:
        return dx
    w = contiguous(w)
    if groups == 1 and fold.pays(g, c, m):
        fold.fold(forward(dy, w.reshape(-1, m).T[None, None]), dx, g)
    elif groups == 1 and not thin.fits(c, m):
        tile = best(c, COLUMNS)
        width = COLUMNS[tile]
        panels = -(-c // width)
        frame, *sizes, taps, tops, start, offset, place = tables.together(n, g, c, m, panels)
        turned = empty((panels * len(offset), width), w.dtype)
        turn(w.reshape(-1, c, m), taps, tops, turned)
        shares = tasks(*sizes, c, width, thread_count())
        dy = framed(dy, *frame)
        PRODUCT[tile](dy.reshape(-1), turned.reshape(-1), dx.reshape(-1), start, offset, place, shares, c, width)
    else:
        frame, phases = tables.backward(n, g, c, m, groups)
        dy, apart = framed(dy, *frame), w.reshape(-1, c // groups, groups, m // groups)
        for phase in phases:
            turned = apart[phase.taps].transpose(0, 3, 2, 1).reshape(-1, c)  # (taps M / groups, C)
            product(dy, turned, dx, groups, phase.start, phase.offset, phase.place)
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
    x_flat, flat = padded(x, g).reshape(-1), dw.reshape(-1, m)
    if depthwise.fits(groups, c, m):
        add_up(depthwise.outer_product(x_flat, contiguous(dy).reshape(-1, m), start, offset, thread_count()), flat, accumulate)
    else:
        for i, o in runs(groups, c, m):
            outer_product(x_flat[i.start :], dy[..., o], flat[:, o], start, offset, c // groups, accumulate)
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
            tile, columns = best(m // groups, COLUMNS), m // groups
            width = COLUMNS[tile]
            packed = columns % width > 0 or len(start) > FEW_PIXELS or not w_run.flags.c_contiguous
            shares = tasks((len(start),), (len(offset),), columns, width, thread_count(), packed)
            w_run, step = (in_panels(w_run, width), width) if packed else (w_run, columns)
            PRODUCT[tile](x_run, w_run.reshape(-1), y_run, start, offset, place, shares, columns, step)


def outer_product(x: Array, dy: Array, dw: Array, start: Array, offset: Array, channels: int, accumulate: bool) -> None:
    """One group's dw (E, M), or dw += it, by the kernel that fits; x flat, with `channels` of its own in a pixel."""
    m, threads = dy.shape[3], thread_count()
    if thin.fits(m, channels):
        across = empty((threads, m, len(offset)), x.dtype)
        thin.outer_product(x, contiguous(dy).reshape(-1, m), across, start, offset[:: thin.LANES].copy())
        add_up(across.swapaxes(1, 2), dw, accumulate)
        return
    tile = best(m, WIDTHS)
    wide = full_width(dy, WIDTHS[tile])  # (T, J width)
    if len(start) <= FEW_PIXELS and len(offset) >= TILES_EACH * TAPS[tile] * threads and dw.flags.c_contiguous:
        OUTER_PRODUCT[tile](x, wide, dw[None], start, offset, threads, accumulate)
    else:
        parts = empty((threads, *dw.shape), x.dtype)
        OUTER_PRODUCT[tile](x, wide, parts, start, offset, 1, False)
        add_up(parts, dw, accumulate)


def add_up(parts: Array, dw: Array, accumulate: bool) -> None:
    """dw (E, M) = the sum of its parts (threads, E, M), in order, or dw += it."""
    for number, part in enumerate(parts):
        if number > 0 or accumulate:
            dw += part
        else:
            dw[...] = part


# ---- laying out


def padded(x: Array, g: Geometry) -> Array:
    """x in its frame of zeros, contiguous."""
    (rows, columns) = g.padding
    return framed(x, (rows, rows), (columns, columns))


def in_panels(matrix: Array, width: int) -> Array:
    """(E, M) -> (J E, width), one panel of columns below the other, zeros beyond column M."""
    depth, columns = matrix.shape
    whole, rest = divmod(columns, width)
    made = empty((whole + (rest > 0), depth, width), matrix.dtype)
    made[:whole] = matrix[:, : whole * width].reshape(depth, whole, width).swapaxes(0, 1)
    if rest:
        made[whole, :, :rest] = matrix[:, whole * width :]
        made[whole, :, rest:] = 0
    return made.reshape(-1, width)


def full_width(dy: Array, width: int) -> Array:
    """dy as (T, J width), zeros beyond column M."""
    flat = contiguous(dy).reshape(-1, dy.shape[3])
    if flat.shape[1] % width == 0:
        return flat
    made = zeros((flat.shape[0], -(-flat.shape[1] // width) * width), dy.dtype)
    made[:, : flat.shape[1]] = flat
    return made
