"""Matrix product on a GPU, the first three rungs again, in Python: Numba compiles these functions for the GPU.

    c[m, n] = sum over k of a[m, k] b[k, n]

Against the definition: the kernels of naive.cu, coalesced.cu and shared_tile.cu, line by line, for readers who stay in Python.
What each rung changes and why is said there. The ladder goes on in CUDA C alone: what comes next are loads of 16 bytes,
copies that pass by the registers and tensor cores, for which CUDA C has words.

    naive         a thread for each number, neighbours in a warp below each other
    coalesced     neighbours in a warp beside each other: what they read lies in one piece
    shared_tile   a block copies a tile of each factor into shared memory before it multiplies

Nothing chooses these rungs. Without a GPU they run in Numba's simulator (NUMBA_ENABLE_CUDASIM=1), a thread of the system for
each thread: 16 x 16 x 16 numbers take a fifth of a second.

Error: each number is a sum of K products in order, |c - exact| <= K u sum |a b|, u = 2^-24.

Legend: M rows, N columns, K the inner size. a (M, K), b (K, N), c (M, N). T a tile's side.
"""

from __future__ import annotations

from typing import Any

import numba.cuda
from numba import float32

from minigen.backend import Array, empty

T = 16
cuda: Any = numba.cuda  # which has no types


def kernel(function: Any) -> Any:
    """`function` as a kernel, compiled when it is first launched."""
    return cuda.jit(function)


@kernel
def naive(a: Array, b: Array, c: Array) -> None:
    """One thread, one number; x counts rows."""
    row = cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x
    column = cuda.blockIdx.y * cuda.blockDim.y + cuda.threadIdx.y
    if row < c.shape[0] and column < c.shape[1]:
        total = float32(0)
        for k in range(a.shape[1]):
            total += a[row, k] * b[k, column]
        c[row, column] = total


@kernel
def coalesced(a: Array, b: Array, c: Array) -> None:
    """The same; x counts columns."""
    row = cuda.blockIdx.y * cuda.blockDim.y + cuda.threadIdx.y
    column = cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x
    if row < c.shape[0] and column < c.shape[1]:
        total = float32(0)
        for k in range(a.shape[1]):
            total += a[row, k] * b[k, column]
        c[row, column] = total


@kernel
def shared_tile(a: Array, b: Array, c: Array) -> None:
    """Tiles of a and b in shared memory, zeros outside the matrices."""
    tile_a = cuda.shared.array((T, T), float32)  # one array a line: the simulator tells them apart by their lines
    tile_b = cuda.shared.array((T, T), float32)
    x, y = cuda.threadIdx.x, cuda.threadIdx.y
    row, column = cuda.blockIdx.y * T + y, cuda.blockIdx.x * T + x
    total = float32(0)
    for start in range(0, a.shape[1], T):
        tile_a[y, x] = a[row, start + x] if row < a.shape[0] and start + x < a.shape[1] else float32(0)
        tile_b[y, x] = b[start + y, column] if start + y < b.shape[0] and column < b.shape[1] else float32(0)
        cuda.syncthreads()  # before reading what others wrote
        for k in range(T):
            total += tile_a[y, k] * tile_b[k, x]
        cuda.syncthreads()  # before overwriting what others still read
    if row < c.shape[0] and column < c.shape[1]:
        c[row, column] = total


RUNGS: dict[str, Any] = {"naive": naive, "coalesced": coalesced, "shared_tile": shared_tile}


def teach(rung: str, a: Array, b: Array) -> Array:
    """c = a b on one of RUNGS. a (M, K) and b (K, N), float32, none of the sizes 0; NumPy's arrays travel there and back."""
    c = empty((a.shape[0], b.shape[1]), a.dtype, like=a)
    down, across = -(-c.shape[0] // T), -(-c.shape[1] // T)
    grid = (down, across) if rung == "naive" else (across, down)
    RUNGS[rung][grid, (T, T)](a, b, c)
    return c
