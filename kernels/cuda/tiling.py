"""How a product is shared out between blocks: the numbers behind a launch of the main loop (`main_loop.cuh`).

On a few thousand rows and columns a block makes 128 x 128 numbers of c. Where that leaves processors without a block, 64 x 64.
Where even those are few and k is long, several blocks share out k, each with a part of the sums, which `sum_of_parts` adds up
in order. The choice depends on sizes alone, not on the device, and so do the bits of the result.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from minigen.backend import Array, empty

from .launch import each, launch

DEPTH, STAGES = 16, 3  # as in multipliers.cuh and main_loop.cuh
PROCESSORS = 132  # that a large GPU has: enough blocks are at least so many
SHORTEST = 256  # k's of a part: fewer are not worth a pass over c


@dataclass(frozen=True)
class Tiling:
    """Of a product c (rows, columns) with sums of `depth` products."""

    rows: int
    columns: int
    depth: int
    large: bool
    parts: int  # blocks that share out k
    beside: int = 1  # products of these sizes that one launch makes

    @property
    def side(self) -> int:
        """Rows and columns of a block's tile."""
        return 128 if self.large else 64

    @property
    def threads(self) -> int:
        """Of a block."""
        return 256 if self.large else 128

    @property
    def grid(self) -> tuple[int, int, int]:
        """Blocks along rows, columns, and k of each product."""
        return -(-self.rows // self.side), -(-self.columns // self.side), self.parts * self.beside

    def shared(self, a_along_k: bool, b_along_k: bool) -> int:
        """Bytes of a block's tiles; a row of a tile is up to 4 or 8 numbers longer than what it holds."""
        numbers = (self.side * (DEPTH + 4) if along_k else DEPTH * (self.side + 8) for along_k in (a_along_k, b_along_k))
        return 4 * STAGES * sum(numbers)


def tiling(rows: int, columns: int, depth: int, beside: int = 1) -> Tiling:
    """The tiling of a product of these sizes, or of so many beside each other."""
    large = beside * -(-rows // 128) * -(-columns // 128) >= PROCESSORS
    blocks = beside * -(-rows // 64) * -(-columns // 64)
    parts = 1 if large else max(1, min(-(-2 * PROCESSORS // blocks), depth // SHORTEST))
    return Tiling(rows, columns, depth, large, parts, beside)


def run(
    name: str,
    kernel: str,
    t: Tiling,
    c: Array,
    bias: Array | None,
    slope: float,
    accumulate: bool,
    call: Any,
    along_k: tuple[bool, bool],
    **options: int,
) -> None:
    """Launches a product kernel that makes c (..., columns), and `sum_of_parts` after it where k is shared out.

    `call(target, bias, slope, accumulate)` gives the kernel's arguments.
    """
    where = {"shared": t.shared(*along_k), "LARGE": int(t.large), **options}
    if t.parts == 1:
        launch(name, kernel, t.grid, (t.threads,), *call(c, bias, slope, int(accumulate)), **where)
        return
    parts = empty((t.parts, *c.shape), c.dtype, like=c)
    launch(name, kernel, t.grid, (t.threads,), *call(parts, None, 1.0, 0), **where)
    summed = (parts, c, bias, t.parts, c.size // t.columns, t.columns, slope, int(accumulate))
    each("cuda/sum_of_parts.cu", "sum_of_parts", c.size, *summed)
