"""Sums over the middle axis of (B, R, C) on a GPU, in a fixed order, and how such a walk is shared out between blocks.

    sums(x)[b, c] = sum over r of x[b, r, c]

Error: relative to the sum of the absolute values at most u (R / (K h) + log2 h + K), u = 2^-24.

Legend: B, R, C sizes; K chunks of rows; a block is w channels by h rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from minigen.backend import Array, empty

from ..arguments import output
from ..combine import contiguous
from .launch import launch

THREADS, WIDEST = 256, 32  # of a block, and its channels at most: a warp reads 32 neighbours in one piece
EACH = 16  # rows of a thread, before another chunk is worth its part of the sums
ENOUGH = 1024  # blocks that keep a large GPU busy


@dataclass(frozen=True)
class Walk:
    """How (B, R, C) is shared out: by sizes alone, not by the device, and so are the bits of a sum."""

    B: int
    R: int
    C: int
    whole: bool = False  # one chunk, however many rows

    @property
    def block(self) -> tuple[int, int]:
        """Channels and rows at a time: powers of two."""
        w = min(WIDEST, power_of_two(self.C))
        return w, min(THREADS // w, power_of_two(self.R))

    @property
    def across(self) -> int:
        """Blocks along b and c."""
        return self.B * -(-self.C // self.block[0])

    @property
    def chunk(self) -> int:
        """Rows of a chunk."""
        most = max(1, -(-ENOUGH // self.across))
        many = 1 if self.whole else min(most, -(-self.R // (self.block[1] * EACH)))
        return -(-self.R // many)

    @property
    def many(self) -> int:
        """Chunks."""
        return -(-self.R // self.chunk)

    def launch(self, name: str, kernel: str, *arguments: Any, **options: int) -> None:
        """A kernel that walks so."""
        launch(name, kernel, (self.across, self.many), self.block, *arguments, **options)


def sums(x: Array, *, out: Array | None = None, accumulate: bool = False) -> Array:
    """x (B, R, C) -> (B, C), or out += the sums."""
    B, R, C = x.shape
    walk, out = Walk(B, R, C), output(out, (B, C), x.dtype, like=x)
    parts = out if walk.many == 1 else empty((walk.many, B, C), x.dtype, like=x)
    walk.launch("cuda/sums.cu", "sums", contiguous(x), parts, B, R, C, walk.chunk, int(accumulate and walk.many == 1))
    return out if walk.many == 1 else joined(parts, out, accumulate=accumulate)


def joined(parts: Array, out: Array, *, accumulate: bool = False) -> Array:
    """parts (K, B, C) -> their sum (B, C) in `out`, in order."""
    K, B, C = parts.shape
    grid = (-(-B * C // THREADS),)
    launch("cuda/sum_of_parts.cu", "sum_of_parts", grid, (THREADS,), parts, out, None, K, B, C, 1.0, int(accumulate))
    return out


def total(parts: Array, share: float = 1.0) -> Array:
    """parts (K,) float64 -> share times their sum, an array without axes: the host does not wait for it."""
    made = empty((), np.float64, like=parts)
    launch("cuda/total.cu", "total", (1,), (1, THREADS), parts, made, len(parts), share)
    return made


def power_of_two(n: int) -> int:
    """The smallest one that is at least n."""
    return 1 << max(0, n - 1).bit_length()
