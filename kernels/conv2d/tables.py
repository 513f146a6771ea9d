"""Where in memory the numbers of a convolution lie, as tables of positions: the Numba rung's geometry.

A position counts numbers from the start of an array in channels-last order. The number that pixel t meets at tap e lies at

    start[t] + offset[e]

whatever stride, dilation and phase: geometry is a sum of two table entries, and the arithmetic is a matrix product. All tables
are uint64, since Numba tests a signed index for being negative each time. They depend on shapes alone and are kept.

Legend: N images, H, W input size, C input channels, kh, kw kernel, Ho, Wo output size, M output channels, T pixels, E taps with
their channels of one group.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from minigen.backend import Array

from .geometry import Geometry, Pair


def pixels(n: int, size: Pair, channels: int, count: Pair, first: Pair = (0, 0), step: Pair = (1, 1)) -> Array:
    """Positions of channel 0 of `count` pixels, from `first` on in `step`s, in each of `n` images of `size`: (T,)."""
    image, row, column = np.ogrid[:n, : count[0], : count[1]]
    rows, columns = first[0] + row * step[0], first[1] + column * step[1]
    position: Array = ((image * size[0] + rows) * size[1] + columns) * channels
    return position.reshape(-1).astype(np.uint64)


def taps(rows: Array, columns: Array, width: int, channels: int, groups: int) -> Array:
    """Offsets from a pixel to every channel (of the first group) of the pixels `rows` and `columns` away, in images of `width`.

    (E,). The tables of all groups are those of the first: another one's channels lie a constant further on in x and in y.
    """
    r, s, c = np.ix_(rows, columns, np.arange(channels // groups))
    offset: Array = (r * width + s) * channels + c
    return offset.reshape(-1).astype(np.uint64)


class Forward(NamedTuple):
    """The tables of a convolution that reads the padded input."""

    start: Array  # (N Ho Wo,) into the padded input
    offset: Array  # (kh kw C / groups,)
    place: Array  # (N Ho Wo,) into the output


@lru_cache(maxsize=32)
def forward(n: int, g: Geometry, c: int, m: int, groups: int = 1) -> Forward:
    """For x (N, H, W, C) -> y (N, Ho, Wo, M)."""
    rows, columns = (np.arange(k) * d for k, d in zip(g.kernel, g.dilation, strict=True))
    start = pixels(n, g.padded, c, g.output, step=g.stride)
    return Forward(start, taps(rows, columns, g.padded[1], c, groups), pixels(n, g.output, m, g.output))


class Phase(NamedTuple):
    """The pixels of dx whose row and column leave one remainder modulo the stride: they all meet the same taps."""

    taps: Array  # of w's kh kw, those that they meet, uint64
    weights: Array  # (E, C) into w: these taps, with inputs and outputs exchanged
    start: Array  # (T,) into the padded dy
    offset: Array  # (E,), of E = taps M / groups
    place: Array  # (T,) into dx


class Backward(NamedTuple):
    """The tables of the input gradient."""

    frame: tuple[Pair, Pair]  # zeros around dy: (above, below), (left, right)
    phases: tuple[Phase, ...]


@lru_cache(maxsize=32)
def backward(n: int, g: Geometry, c: int, m: int, groups: int = 1) -> Backward:
    """For dy (N, Ho, Wo, M) -> dx (N, H, W, C).

    Row h of dx meets tap r where h = p stride + r dilation - padding has a solution p, that is, where the stride divides
    h + padding - r dilation. For h = a + t stride this depends on the phase a alone, and p = t + shift with
    shift = (a + padding - r dilation) / stride. So every phase is a convolution of dy with stride 1 and its own part of the
    taps: no work on zeros between the pixels of dy.
    """
    vertical, horizontal = (_axis(g, axis) for axis in (0, 1))
    frame = _frame(vertical, g.output[0]), _frame(horizontal, g.output[1])
    padded = g.output[0] + sum(frame[0]), g.output[1] + sum(frame[1])
    phases = []
    at = np.arange(g.kernel[0] * g.kernel[1] * c // groups * m).reshape(*g.kernel, c // groups, m)  # where w has what
    for a, (count_h, shifts_h) in enumerate(vertical):
        for b, (count_w, shifts_w) in enumerate(horizontal):
            count = count_h, count_w
            start = pixels(n, padded, m, count)
            offset = taps(_from(frame[0], shifts_h), _from(frame[1], shifts_w), padded[1], m, groups)
            place = pixels(n, g.image, c, count, first=(a, b), step=g.stride)
            met = at[np.ix_(list(shifts_h), list(shifts_w))] if offset.size else at[:0, :0]  # (rows, columns, C / groups, M)
            taps_met = [r * g.kernel[1] + s for r in shifts_h for s in shifts_w]
            apart = met.reshape(*met.shape[:3], groups, m // groups).transpose(0, 1, 4, 3, 2)
            phases.append(Phase(np.array(taps_met, np.uint64), apart.reshape(-1, c), start, offset, place))
    return Backward(frame, tuple(phases))


def _axis(g: Geometry, axis: int) -> list[tuple[int, dict[int, int]]]:
    """For each phase a of one axis: the number of its pixels, and {tap: shift from t to the row of dy}."""
    size, stride, padding, dilation = g.image[axis], g.stride[axis], g.padding[axis], g.dilation[axis]
    found = []
    for a in range(min(stride, size)):
        reach = {tap: a + padding - tap * dilation for tap in range(g.kernel[axis])}
        found.append((-(-(size - a) // stride), {tap: d // stride for tap, d in reach.items() if d % stride == 0}))
    return found


def _frame(phases: list[tuple[int, dict[int, int]]], size: int) -> Pair:
    """How many rows of zeros dy needs before and after its `size` rows, so that no phase reads beside it."""
    lowest = min((shift for _, shifts in phases for shift in shifts.values()), default=0)
    highest = max((count - 1 + shift for count, shifts in phases for shift in shifts.values()), default=0)
    return max(0, -lowest), max(0, highest - (size - 1))


def _from(frame: Pair, shifts: dict[int, int]) -> Array:
    """The shifts, counted from the first row of the frame: never negative."""
    return np.array(list(shifts.values()), int) + frame[0]
