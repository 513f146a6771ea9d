"""Convolution with fewer multiplications (Winograd 1980; Lavin and Gray 2016): 16 where the direct kernels make 36.

One axis first. Two neighbours of y, for a kernel of three taps, are made from four numbers of x. Directly that is 6 products;
from sums and differences of x and of w it is 4,

    p0 = (x0 - x2) w0                        y0 = p0 + p1 + p2
    p1 = (x1 + x2) (w0 + w1 + w2) / 2        y1 = p1 - p2 + p3
    p2 = (x2 - x1) (w0 - w1 + w2) / 2
    p3 = (x3 - x1) w2

and three neighbours, for a kernel of two taps, are 4 products of the same sums of x too:

    p0 = (x0 - x2) w0                        y0 = p0 + p1 + p2
    p1 = (x1 + x2) (w0 + w1) / 2             y1 = p1 - p2
    p2 = (x2 - x1) (w0 - w1) / 2             y2 = p1 + p2 + p3
    p3 = (x3 - x1) w1

(What stands beside x is w as a polynomial, at the points 0, 1, -1 and infinity.) On images it is done along both axes. With the
matrices B, G, A of these three maps, a tile d (4, 4) of x gives m x m pixels of y, m = 5 - r for r taps a side,

    y = A' [ (G w G') * (B' d B) ] A                    * number by number: 16 products for m^2 pixels

and the sums over channels, for all tiles at once, are 16 matrix products. The input gradient is the same with the kernel turned
around. dw is that line differentiated, G' [ sum over tiles of (B' d B) * (A dy A') ] G, at the same price.

A kernel of 2r taps a side at stride 2 is one of r at stride 1 between the four phases of the image, its pixels with even or odd
row and column, taken as channels. So 4 x 4 at stride 2 needs 16 products for 3 x 3 pixels, instead of 36.

Predicted against `direct.py`: 36 / 16 = 2.25, less the maps, a few passes over blocks that lie in the second-level cache, and
less what an image's last tiles waste (7 rows are three tiles of three). Measured on two cores: y and dx 1.6 to 2.3 times as
fast for 3 x 3 on 7 to 28 pixels a side and 32 to 128 channels, and 1.4 to 1.5 times for 4 x 4 at stride 2 on 14 pixels; dw 1.1
to 2.0 times, and not faster at stride 2. `pays` says where it is used.

Error, with u = 2^-24 and |.| number by number. On the way to a number of y lie 2 additions in the map of x, at most 4 in that
of w (halving is exact), D multiplications and additions in one, and 4 additions in the last map:

    |y - exact| <= (D + 11) u  |A'| [ (|G| |w| |G'|) * (|B'| |d| |B|) ] |A|,

and for dw the same with the number of tiles and of threads in place of D. The bound is wider than the direct sum's. The error
is not: in norms, on normal numbers, 0.6 to 0.9 times the direct one, for D is r^2 times shorter. Tiles of 6 x 6 would save 4
times instead of 2.25, and are 2 to 4 times as far from exact as the direct sum: they are not used.

A NaN or an infinity in x reaches all pixels of the tiles that meet it. And y depends, by a rounding error, on pixels that its
taps do not see: where that must not be, in masked convolutions, the taps are multiplied one by one (`masked_conv2d`), which is
nearly as few: 5 live taps of 9 against 4.

Legend: N images, H, W sizes, C input channels, M output channels, S stride, r taps and m pixels of a tile a side, T tiles,
D = S^2 C depth of the products, J panels of COLUMNS columns. U (16, J, D, COLUMNS) maps of w, V (16, T, D) of x, Z (16, T, M)
of dy, P (16, T, M) products.
"""

from __future__ import annotations

from typing import NamedTuple

from minigen.backend import Array, Shape, empty

from ..arguments import output
from ..combine import contiguous
from ..pool import thread_count
from .geometry import Geometry, Pair, geometry
from .winograd_tiles import COLUMNS, KERNELS, LANES, ROWS

SCRATCH = 1 << 17  # numbers of V and P that one thread keeps in its cache
ENOUGH, ENOUGH_TO_LEARN = 64, 400  # tiles from which the maps of w, and of dw, are paid for
SQUARE = {((3, 3), (1, 1)): 2, ((4, 4), (2, 2)): 3}  # (kernel, stride) -> m


class Grid(NamedTuple):
    """Where pixel (t, u) of phase (a, b) lies in an image: row step t + a - above, column step u + b - left."""

    step: int
    above: int
    left: int


def fits(g: Geometry, c: int, m: int, groups: int) -> bool:
    """Whether there are kernels for this geometry and these channels: whole vectors of them."""
    return (
        groups == 1
        and g.dilation == (1, 1)
        and (g.kernel, g.stride) in SQUARE
        and all(p < k for p, k in zip(g.padding, g.kernel, strict=True))
        and c % LANES == m % LANES == 0
    )


def pays(n: int, g: Geometry, c: int, m: int, groups: int, learning: bool) -> bool:
    """Whether these kernels are the faster ones for y and dx, or for dw (`learning`)."""
    if not fits(g, c, m, groups) or (learning and g.stride != (1, 1)):
        return False
    side = SQUARE[g.kernel, g.stride]
    return n * -(-g.output[0] // side) * -(-g.output[1] // side) >= (ENOUGH_TO_LEARN if learning else ENOUGH)


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
    y = output(out, (x.shape[0], *g.output, w.shape[3]), x.dtype, like=x)
    product(x, phases(w, g.stride[0])[..., None, None, :], y, Grid(g.stride[0], *g.padding), Grid(1, 0, 0))
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
    """dy (N, Ho, Wo, M), w -> dx (N, H, W, C).

    Row S t + a - padding of dx meets tap S i + a of w in row t - i of dy, whatever its phase a: with the taps turned around,
    that is a convolution at stride 1 from dy to the phases of dx.
    """
    g = geometry(x_shape[1:3], w.shape[:2], stride=stride, padding=padding, dilation=dilation)
    dx = output(out, x_shape, dy.dtype, like=dy)
    step, (top, side), (above, left) = g.stride[0], g.kernel, g.padding
    turned = phases(w, step)[::-1, ::-1].transpose(0, 1, 5, 2, 3, 4)[:, :, None, None]  # (r, r, 1, 1, M, S, S, C)
    seen = Grid(1, top // step - 1 - above // step, side // step - 1 - left // step)
    product(dy, turned, dx, seen, Grid(step, above % step, left % step))
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
    """x, dy -> dw (kh, kw, C, M), or out += dw."""
    g = geometry(x.shape[1:3], kernel_shape, stride=stride, padding=padding, dilation=dilation)
    dw = output(out, (*g.kernel, x.shape[3], dy.shape[3]), x.dtype, like=x)
    outer_product(x, dy, phases(dw, g.stride[0]), Grid(g.stride[0], *g.padding), accumulate)
    return dw


def product(x: Array, w: Array, y: Array, seen: Grid, made: Grid) -> None:
    """y[made] = the correlation of x[seen] with w (r, r, S, S, C, S', S', M), at stride 1 between their phases."""
    x, threads = contiguous(x), thread_count()
    size = 5 - w.shape[0]
    depth, columns = x.shape[3] * seen.step**2, y.shape[3] * made.step**2
    rows = -(-(y.shape[1] + made.above) // made.step), -(-(y.shape[2] + made.left) // made.step)
    tiles = -(-rows[0] // size), -(-rows[1] // size)
    U = empty((16, columns // COLUMNS, depth, COLUMNS), x.dtype)
    spread, multiply, _, _ = KERNELS[size, seen.step, made.step]
    spread(w, U)
    block = block_of(depth, columns, len(x) * tiles[0] * tiles[1], threads)
    V, P = empty((threads, 16, block + 1, depth), x.dtype), empty((threads, 16, block + 1, columns), x.dtype)
    multiply(x, U, y, V, P, empty((threads, 16 * x.shape[3]), x.dtype), seen[1:], made[1:], tiles)


def outer_product(x: Array, dy: Array, dw: Array, seen: Grid, add: bool) -> None:
    """dw (r, r, S, S, C, M), or dw += it."""
    x, dy, threads = contiguous(x), contiguous(dy), thread_count()
    size = 5 - dw.shape[0]
    tiles = -(-dy.shape[1] // size), -(-dy.shape[2] // size)
    depth, columns = x.shape[3] * seen.step**2, dy.shape[3]
    _, _, accumulate, gather = KERNELS[size, seen.step, 1]
    block = block_of(depth, columns, len(x) * tiles[0] * tiles[1], threads)
    V, Z = empty((threads, 16, block + 1, depth), x.dtype), empty((threads, 16, block + 1, columns), x.dtype)
    parts = empty((threads, 16, depth, columns), x.dtype)
    accumulate(x, dy, parts, V, Z, empty((threads, 16 * x.shape[3]), x.dtype), seen[1:], tiles)
    gather(parts, dw, add)


def phases(w: Array, step: int) -> Array:
    """w (S r, S r, C, M) as (r, r, S, S, C, M), a view: the taps of each phase."""
    kh, kw, c, m = w.shape
    return w.reshape(kh // step, step, kw // step, step, c, m).transpose(0, 2, 1, 3, 4, 5)


def block_of(depth: int, columns: int, tiles: int, threads: int) -> int:
    """How many tiles go through all steps before the next ones come."""
    share = -(-tiles // threads)
    return max(ROWS, min(64, SCRATCH // (16 * (depth + columns)) // ROWS * ROWS, -(-share // ROWS) * ROWS))
