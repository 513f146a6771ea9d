"""Convolution by a list of taps, plainly.

    y[n, p, q, m] = sum over l, c of  x[n, p + r_l, q + s_l, c] w[l, c, m],      (r_l, s_l) = taps[l],  x zero outside the image

One loop, over the taps: what a tap looks at is the image moved by (r, s), a window of the framed image. The input gradient

    dx[n, p, q, c] = sum over l, m of  dy[n, p - r_l, q - s_l, m] w[l, c, m]

is the same sum with the taps turned around and the matrices transposed; the weight gradient is

    dw[l, c, m] = sum over n, p, q of  x[n, p + r_l, q + s_l, c] dy[n, p, q, m].

Legend: N images, H, W size in and out, C input channels, M output channels, L taps (r rows down, s columns to the right).
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import numpy as np

from minigen.backend import Array, empty

from ..arguments import output

Taps: TypeAlias = tuple[tuple[int, int], ...]


def forward(x: Array, w: Array, taps: Taps, *, out: Array | None = None) -> Array:
    """x, w -> y (N, H, W, M)."""
    y = output(out, (*x.shape[:3], w.shape[2]), np.result_type(x.dtype, w.dtype), like=x)
    y[...] = 0
    frame, (_, H, W, _) = Frame.of(taps), x.shape
    framed = frame.around(x)
    for l, (r, s) in enumerate(frame.moved(taps)):
        y += np.tensordot(framed[:, r : r + H, s : s + W], w[l], 1)
    return y


def input_gradient(dy: Array, w: Array, taps: Taps, *, out: Array | None = None) -> Array:
    """dy (N, H, W, M), w -> dx (N, H, W, C)."""
    return forward(dy, w.swapaxes(1, 2), turned(taps), out=out)


def weight_gradient(x: Array, dy: Array, taps: Taps, *, out: Array | None = None, accumulate: bool = False) -> Array:
    """x, dy -> dw (L, C, M), or out += dw."""
    dw = output(out, (len(taps), x.shape[3], dy.shape[3]), np.result_type(x.dtype, dy.dtype), like=x)
    if not accumulate:
        dw[...] = 0
    frame, (_, H, W, _) = Frame.of(taps), x.shape
    framed = frame.around(x)
    for l, (r, s) in enumerate(frame.moved(taps)):
        dw[l] += np.tensordot(framed[:, r : r + H, s : s + W], dy, ((0, 1, 2), (0, 1, 2)))
    return dw


def turned(taps: Taps) -> Taps:
    """The pixels that look at a pixel, where `taps` are those that it looks at."""
    return tuple((-r, -s) for r, s in taps)


class Frame(NamedTuple):
    """The zeros around an image that its taps reach into, and no more: one that looks up and to the left has none below."""

    above: int
    below: int
    left: int
    right: int

    @classmethod
    def of(cls, taps: Taps) -> Frame:
        """The frame that these taps need."""
        rows, columns = (0, *(r for r, _ in taps)), (0, *(s for _, s in taps))
        return cls(-min(rows), max(rows), -min(columns), max(columns))

    def moved(self, taps: Taps) -> Taps:
        """The taps counted from the corner of the frame: never negative."""
        return tuple((r + self.above, s + self.left) for r, s in taps)

    def around(self, x: Array) -> Array:
        """x (N, H, W, C) in its frame: (N, above + H + below, left + W + right, C); x itself where there is none."""
        if not any(self):
            return x
        N, H, W, C = x.shape
        framed = empty((N, self.above + H + self.below, self.left + W + self.right, C), x.dtype, like=x)
        framed[...] = 0
        framed[:, self.above : self.above + H, self.left : self.left + W] = x
        return framed
