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
    start: Array  # (T,) into the padded dy
    offset: Array  # (E,), of E = taps M / groups
    place: Array  # (T,) into dx


class Backward(NamedTuple):
    """The tables of the input gradient."""

    frame: tuple[Pair, Pair]  # zeros around dy: (above, below), (left, right)
    phases: tuple[Phase, ...]


class Together(NamedTuple):
    """The same with all phases one behind the other, for a kernel that takes them at once."""

    frame: tuple[Pair, Pair]
    pixels: tuple[int, ...]  # T of each phase
    depths: tuple[int, ...]  # E of each
    taps: Array  # those that any phase meets
    tops: Array  # (taps, 2): in which row of the first panel a tap's numbers begin, and the rows from panel to panel
    start: Array  # (sum of T,)
    offset: Array  # (sum of E,)
    place: Array  # (sum of T,)


@lru_cache(maxsize=32)
def backward(n: int, g: Geometry, c: int, m: int, groups: int = 1) -> Backward:
    """For dy (N, Ho, Wo, M) -> dx (N, H, W, C)."""
    return _backward(n, g, c, m, groups)


@lru_cache(maxsize=32)
def together(n: int, g: Geometry, c: int, m: int, panels: int) -> Together:
    """The same, in one group. Each phase has so many panels of the weights, below those of the phase before."""
    frame, phases = _backward(n, g, c, m, 1)
    depths = [len(phase.offset) for phase in phases]
    tops = [
        (sum(depths[:i]) * panels + tap * m, depth)
        for i, (phase, depth) in enumerate(zip(phases, depths, strict=True))
        for tap in range(len(phase.taps))
    ]
    joined = (np.concatenate([getattr(phase, name) for phase in phases]) for name in ("start", "offset", "place"))
    return Together(
        frame,
        tuple(len(phase.start) for phase in phases),
        tuple(depths),
        np.concatenate([phase.taps for phase in phases]),
        np.array(tops, np.uint64).reshape(-1, 2),
        *joined,
    )


def _backward(n: int, g: Geometry, c: int, m: int, groups: int) -> Backward:
    """Row h of dx meets tap r where h = p stride + r dilation - padding has a solution p, that is, where the stride divides
    h + padding - r dilation. For h = a + t stride this depends on the phase a alone, and p = t + shift with
    shift = (a + padding - r dilation) / stride. So every phase is a convolution of dy with stride 1 and its own part of the
    taps: no work on zeros between the pixels of dy.
    """
    vertical, horizontal = (_axis(g, axis) for axis in (0, 1))
    frame = _frame(vertical, g.output[0]), _frame(horizontal, g.output[1])
    padded = g.output[0] + sum(frame[0]), g.output[1] + sum(frame[1])
    phases = []
    for a, (count_h, shifts_h) in enumerate(vertical):
        for b, (count_w, shifts_w) in enumerate(horizontal):
            count = count_h, count_w
            start = pixels(n, padded, m, count)
            offset = taps(_from(frame[0], shifts_h), _from(frame[1], shifts_w), padded[1], m, groups)
            place = pixels(n, g.image, c, count, first=(a, b), step=g.stride)
            met = np.array([r * g.kernel[1] + s for r in shifts_h for s in shifts_w], np.uint64)
            phases.append(Phase(met, start, offset, place))
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
