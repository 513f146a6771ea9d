"""Matrix products of a few rows, and sums of a few outer products: what a layer does with one image.

    c[m, n] = sum over k of a[m, k] b[k, n]        M <= 4: into a layer and back; b are its weights
                                                   K <= 4: the gradient of its weights

Against the definition: a BLAS is made for tiles. Here a weight serves a few multiplications at most, so all there is to do is
to move the weights once, as they lie in memory; and where the product is added to `out`, it is added on the way. Predicted, at
784 x 400 and 25 GB/s: 50 us for reading weights, 100 us for adding to them. Measured on two cores of an AMD EPYC with one row:
17 us there (the BLAS 23), 15 us back (25), 19 us for the outer product (a BLAS and a sum 384, `register_tile.py` 122): such
weights lie in a cache, which is faster than that.

One thread does it. Between the layers of a small step the second one falls asleep, and to wake it takes longer than the
product (see `pool.py`): on two threads it took 30 to 51 us.

Error: each number is a sum of K products; with u = 2^-24, |c - exact| <= (K + 1) u sum over k of |a b|.

Legend: M rows, N columns, K the inner size. a (M, K), b (K, N), c (M, N).
"""

from __future__ import annotations

import numpy as np

from minigen.backend import Array

from ..arguments import output
from ..combine import contiguous
from ..jit import compiled_for_one

ZERO, ONE, TWO, THREE, FOUR = (np.uint64(n) for n in range(5))  # positions are unsigned: see register_tile.py


def matmul(
    a: Array,
    b: Array,
    *,
    transpose_a: bool = False,
    transpose_b: bool = False,
    out: Array | None = None,
    accumulate: bool = False,
) -> Array:
    """c (M, N) = a b, or out += a b; nothing may be empty."""
    m, k = a.shape[::-1] if transpose_a else a.shape
    c = output(out, (m, b.shape[1 - transpose_b]), a.dtype, like=a)
    if k < m:
        a, b = a if transpose_a else a.T, b.T if transpose_b else b  # (K, M), (K, N)
        if c.shape[1] == 1:  # a column is a row of c'
            outer_products(contiguous(b), contiguous(a), c.reshape(1, m), accumulate)
        else:
            outer_products(contiguous(a), contiguous(b), c, accumulate)
    else:
        if b.shape[1] == 1:  # a column of b is a row of b'
            b, transpose_b = b.T, not transpose_b
        product = dots if transpose_b else combinations
        product(contiguous(a.T if transpose_a else a), contiguous(b), c, accumulate)
    return c


@compiled_for_one
def combinations(a: Array, b: Array, c: Array, accumulate: bool) -> None:
    """c (M, N) (+)= a (M, K) b (K, N): a row of c is a sum of rows of b, four at a time, while it lies in the nearest cache."""
    M, depth, N = np.uint64(c.shape[0]), np.uint64(b.shape[0]), np.uint64(c.shape[1])
    whole = depth // FOUR * FOUR
    if not accumulate:
        for m in range(M):
            for n in range(N):
                c[m, n] = 0
    for k in range(ZERO, whole, FOUR):
        for m in range(M):
            first, second, third, fourth = a[m, k], a[m, k + ONE], a[m, k + TWO], a[m, k + THREE]
            for n in range(N):
                c[m, n] += first * b[k, n] + second * b[k + ONE, n] + third * b[k + TWO, n] + fourth * b[k + THREE, n]
    for k in range(whole, depth):
        for m in range(M):
            for n in range(N):
                c[m, n] += a[m, k] * b[k, n]


@compiled_for_one
def dots(a: Array, b: Array, c: Array, accumulate: bool) -> None:
    """c (M, N) (+)= a (M, K) b' for b (N, K): a number of c is the product of two rows."""
    M, N, K = np.uint64(c.shape[0]), np.uint64(c.shape[1]), np.uint64(b.shape[1])
    for n in range(N):
        for m in range(M):
            total = a.dtype.type(0)
            for k in range(K):
                total += a[m, k] * b[n, k]
            c[m, n] = c[m, n] + total if accumulate else total


@compiled_for_one
def outer_products(a: Array, b: Array, c: Array, accumulate: bool) -> None:
    """c (M, N) (+)= a' b for a (K, M) and b (K, N): a row of c is a sum of a few rows."""
    depth, M, N = np.uint64(a.shape[0]), np.uint64(c.shape[0]), np.uint64(c.shape[1])
    for m in range(M):
        for k in range(depth):
            factor = a[k, m]
            if accumulate or k > ZERO:
                for n in range(N):
                    c[m, n] += factor * b[k, n]
            else:
                for n in range(N):
                    c[m, n] = factor * b[k, n]
