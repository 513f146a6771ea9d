"""Attention in one pass over the queries, with a strip of the weights at a time. The formulas are in `definition.py`.

Against the definition: there p (B, T, S) and five arrays of its size go through memory; here it is a strip of LANES queries,
(S, LANES), which stays in the nearest caches, and on the way back one of dp beside it.

The queries of a strip lie side by side in the lanes of the vector registers, keys one below the other. So a query's largest
score, its sum and its scaling are the same for a strip as for a number: no lane looks at another. All five products are one
tile of results in registers, ROWS x LANES, to which each step adds ROWS numbers times a row of LANES (matmul/register_tile.py):

    forward     s' (S, lanes) = k q'        y' (d, lanes) = v' p'
    backward    dp' (S, lanes) = v dy'      dq' (d, lanes) = k' ds'      dk (S, d) += ds' q      dv (S, d) += p' dy

k and v are read where they lie; only the strip's dy and q are turned, q times 1 / sqrt(d). So s is a number of the strip, and
the same one on the way back, where a weight of 1 comes out as 1 and its slope as 0.

Strips of one row and head add to the same dk and dv: they belong to one thread, which takes them in order. So a result does not
depend on the number of threads, and the way back uses as many threads as there are rows and heads. Causal: keys after the last
query of a strip are left out.

Error: (S + d) u relative to the largest |v|, and to what the softmax leaves of that of s, u = 2^-24.

Legend: B rows times heads, T queries, S keys, d channels of a head. q, y, dy, dq (B, T, d), k, v, dk, dv (B, S, d), log_sum
(B, T). For each thread: turned (d, LANES), strip (S, LANES), panels (ceil(d / LANES), LANES, LANES).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import prange
from numba.extending import register_jitable

from minigen.backend import Array, empty, empty_like

from ..combine import contiguous
from ..jit import ARITHMETIC, WIDE, compiled, registers
from ..pool import thread_count
from ..vector_math import exp

ROWS, LANES = (8, 32) if WIDE else (6, 16)  # 16 vector registers of tile; 12 of 16 with AVX2
_R, _L, ZERO, ONE = (np.uint64(n) for n in (ROWS, LANES, 0, 1))

part_of_a_kernel = register_jitable(fastmath=ARITHMETIC)


def forward(q: Array, k: Array, v: Array, *, causal: bool = False) -> tuple[Array, Array]:
    """y and log_sum."""
    (B, T, d), S = q.shape, k.shape[1]
    y, log_sum = empty_like(q), empty((B, T), q.dtype)
    parts = min(thread_count(), B * -(-T // LANES))
    turned, strip = empty((parts, d, LANES), q.dtype), empty((parts, S, LANES), q.dtype)
    ahead(contiguous(q), contiguous(k), contiguous(v), y, log_sum, turned, strip, q.dtype.type(1 / math.sqrt(d)), causal)
    return y, log_sum


def gradient(
    dy: Array, q: Array, k: Array, v: Array, y: Array, log_sum: Array, *, causal: bool = False
) -> tuple[Array, Array, Array]:
    """dq, dk and dv."""
    (B, _, d), S = q.shape, k.shape[1]
    dq, dk, dv = empty_like(q), empty_like(k), empty_like(v)
    parts = min(thread_count(), B)
    scratch: Any = []  # of q, then of dy
    for shape in ((d, LANES), (S, LANES), (-(-d // LANES), LANES, LANES)):
        scratch += [empty((parts, *shape), q.dtype) for _ in range(2)]
    given = map(contiguous, (dy, q, k, v, log_sum))
    back(*(*given, dq, dk, dv, *scratch, q.dtype.type(1 / math.sqrt(d)), causal))
    return dq, dk, dv


@compiled
def ahead(
    q: Array, k: Array, v: Array, y: Array, log_sum: Array, turned: Array, strip: Array, scale: Any, causal: bool
) -> None:
    """Fills y and log_sum, a share of the strips for each thread."""
    queries, keys, depth = np.uint64(q.shape[1]), np.uint64(k.shape[1]), np.uint64(q.shape[2])
    strips = (queries + _L - ONE) // _L
    tasks, parts = np.uint64(q.shape[0]) * strips, np.uint64(turned.shape[0])
    lowest, one = q.dtype.type(-np.inf), q.dtype.type(1)
    for part in prange(turned.shape[0]):
        here = np.uint64(part)
        tops, totals = registers(1, LANES, q.dtype), registers(1, LANES, q.dtype)
        for task in range(tasks * here // parts, tasks * (here + ONE) // parts):
            b, first = task // strips, task % strips * _L
            count = min(_L, queries - first)
            seen = min(keys, first + count) if causal else keys
            turn(q[b], turned[here], first, count, depth, scale)
            scores(k[b], turned[here], strip[here], seen, depth)
            for lane in range(_L):
                tops[ZERO, lane] = lowest
                totals[ZERO, lane] = 0
            for j in range(seen):
                for lane in range(_L):
                    s = strip[here, j, lane]
                    if causal:
                        s = s if j <= first + lane else lowest
                        strip[here, j, lane] = s
                    tops[ZERO, lane] = s if s > tops[ZERO, lane] else tops[ZERO, lane]
            for j in range(seen):
                for lane in range(_L):
                    e = exp(strip[here, j, lane] - tops[ZERO, lane])
                    strip[here, j, lane] = e
                    totals[ZERO, lane] += e
            for lane in range(count):
                log_sum[b, first + lane] = tops[ZERO, lane] + np.log(totals[ZERO, lane])
            for lane in range(_L):
                totals[ZERO, lane] = one / totals[ZERO, lane]
            for j in range(seen):
                for lane in range(_L):
                    strip[here, j, lane] *= totals[ZERO, lane]
            mean(v[b], strip[here], y[b], first, count, seen, depth, one)


@compiled
def back(
    dy: Array,
    q: Array,
    k: Array,
    v: Array,
    log_sum: Array,
    dq: Array,
    dk: Array,
    dv: Array,
    turned_q: Array,
    turned_dy: Array,
    weights: Array,
    slopes: Array,
    of_q: Array,
    of_dy: Array,
    scale: Any,
    causal: bool,
) -> None:
    """Fills dq, dk and dv, a share of the rows and heads for each thread."""
    queries, keys, depth = np.uint64(q.shape[1]), np.uint64(k.shape[1]), np.uint64(q.shape[2])
    heads, parts, zero, one = np.uint64(q.shape[0]), np.uint64(weights.shape[0]), q.dtype.type(0), q.dtype.type(1)
    for part in prange(weights.shape[0]):
        here = np.uint64(part)
        falls, wholes = registers(1, LANES, q.dtype), registers(1, LANES, q.dtype)
        for b in range(heads * here // parts, heads * (here + ONE) // parts):
            for j in range(keys):
                for c in range(depth):
                    dk[b, j, c] = 0
                    dv[b, j, c] = 0
            for first in range(ZERO, queries, _L):
                count = min(_L, queries - first)
                seen = min(keys, first + count) if causal else keys
                turn(q[b], turned_q[here], first, count, depth, scale)
                turn(dy[b], turned_dy[here], first, count, depth, one)
                pack(q[b], of_q[here], first, count, depth)
                pack(dy[b], of_dy[here], first, count, depth)
                for lane in range(_L):
                    falls[ZERO, lane] = 0
                    wholes[ZERO, lane] = 0
                for lane in range(count):
                    wholes[ZERO, lane] = log_sum[b, first + lane]
                scores(k[b], turned_q[here], weights[here], seen, depth)
                scores(v[b], turned_dy[here], slopes[here], seen, depth)
                for j in range(seen):
                    for lane in range(_L):
                        p = exp(weights[here, j, lane] - wholes[ZERO, lane])
                        if causal:
                            p = p if j <= first + lane else zero
                        weights[here, j, lane] = p
                        falls[ZERO, lane] += p * slopes[here, j, lane]
                for j in range(seen):
                    for lane in range(_L):
                        slopes[here, j, lane] = weights[here, j, lane] * (slopes[here, j, lane] - falls[ZERO, lane])
                mean(k[b], slopes[here], dq[b], first, count, seen, depth, scale)
                collect(slopes[here], of_q[here], dk[b], seen, depth, scale)
                collect(weights[here], of_dy[here], dv[b], seen, depth, one)


@part_of_a_kernel
def turn(rows: Array, turned: Array, first: Any, count: Any, depth: Any, factor: Any) -> None:
    """turned (d, LANES) = factor times the strip's rows of (T, d), zeros beyond the last."""
    for c in range(depth):
        for lane in range(count):
            turned[c, lane] = factor * rows[first + lane, c]
        for lane in range(count, _L):
            turned[c, lane] = 0


@part_of_a_kernel
def pack(rows: Array, panels: Array, first: Any, count: Any, depth: Any) -> None:
    """panels (P, LANES, LANES) = the same rows, LANES of their channels a panel, zeros beyond the last row and channel."""
    for p in range(np.uint64(panels.shape[0])):
        width = min(_L, depth - p * _L)
        for lane in range(_L):
            for c in range(_L):
                panels[p, lane, c] = 0
            if lane < count:
                for c in range(width):
                    panels[p, lane, c] = rows[first + lane, p * _L + c]


@part_of_a_kernel
def scores(rows: Array, turned: Array, strip: Array, seen: Any, depth: Any) -> None:
    """strip (seen, LANES) = rows (S, d) turned (d, LANES)."""
    tile = registers(ROWS, LANES, strip.dtype)
    for j in range(ZERO, seen, _R):
        for m in range(_R):
            for lane in range(_L):
                tile[m, lane] = 0
        for c in range(depth):
            for lane in range(_L):
                number = turned[c, lane]
                for m in range(_R):
                    tile[m, lane] += rows[min(j + m, seen - ONE), c] * number
        for m in range(min(_R, seen - j)):
            for lane in range(_L):
                strip[j + m, lane] = tile[m, lane]


@part_of_a_kernel
def mean(rows: Array, strip: Array, result: Array, first: Any, count: Any, seen: Any, depth: Any, factor: Any) -> None:
    """result (T, d), in the rows of the strip, = factor strip' rows, over the keys that are seen."""
    tile = registers(ROWS, LANES, strip.dtype)
    for c in range(ZERO, depth, _R):
        for m in range(_R):
            for lane in range(_L):
                tile[m, lane] = 0
        for j in range(seen):
            for lane in range(_L):
                number = strip[j, lane]
                for m in range(_R):
                    tile[m, lane] += rows[j, min(c + m, depth - ONE)] * number
        for lane in range(count):
            for m in range(min(_R, depth - c)):
                result[first + lane, c + m] = factor * tile[m, lane]


@part_of_a_kernel
def collect(strip: Array, panels: Array, result: Array, seen: Any, depth: Any, factor: Any) -> None:
    """result (S, d) += factor strip (seen, LANES) rows (LANES, d), the rows in panels."""
    tile = registers(ROWS, LANES, strip.dtype)
    for p in range(np.uint64(panels.shape[0])):
        width = min(_L, depth - p * _L)
        for j in range(ZERO, seen, _R):
            for m in range(_R):
                for c in range(_L):
                    tile[m, c] = 0
            for lane in range(_L):
                for c in range(_L):
                    number = panels[p, lane, c]
                    for m in range(_R):
                        tile[m, c] += strip[min(j + m, seen - ONE), lane] * number
            for m in range(min(_R, seen - j)):
                for c in range(width):
                    result[j + m, p * _L + c] += factor * tile[m, c]
