"""The passes of a normalisation, each reading its values once. The formulas are in `definition.py`.

Against the definition: NumPy goes through memory for every operation, some fifteen times for a normalisation with its
activation and their gradients; here it is four times (statistics, scale; sums, gradient), shared out over chunks of rows that
stay in the nearest cache.

The variance is a sum of squares of differences from the mean, and the mean is not known before the last value. So every chunk
takes its own mean and its own squares while it lies in the cache, and chunks are joined in float64 (Chan, Golub and LeVeque
1983): with n_i values in chunk i, m_i their mean and S_i their sum of squares about it,

    mean = sum n_i m_i / R        R var = sum S_i + sum n_i (m_i - mean)^2

Subtracting R mean^2 from the sum of x^2, which needs no second look, loses all digits where the mean is large beside the
deviation. Sums of a chunk are in float32, over at most ROWS values each: relative error at most ROWS u, u = 2^-24, of the sum
of the absolute values, and typically u sqrt(ROWS). The chunks are the same for any number of threads, and so is the result.

Legend: B batches, R rows, C channels, G groups, K chunks of rows. x, y, xhat, dy, dx (B, R, C); mean, var, r, level, tilt
(B, C); gain, b (C,).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from minigen.backend import Array, empty, empty_like

from ..combine import contiguous
from ..jit import CompiledTwice, compiled_for_one
from ..sums.one_pass import add_up, rows_of
from ..vector_math import sigmoid


def statistics(x: Array, *, eps: float, groups: int | None = None) -> tuple[Array, Array, Array]:
    """Mean, variance and r."""
    x = contiguous(x)
    B, R, C = x.shape
    rows = rows_of(C)
    chunks = -(-R // rows)
    means, squares = (empty((B, chunks, C), x.dtype) for _ in range(2))
    chunk_moments.of(x.size)(x, means, squares, rows)
    mean, var, r = (empty((B, C), x.dtype) for _ in range(3))
    join(means, squares, rows, R, empty((2, C), np.float64), mean, var)
    join_groups(mean, var, r, groups or C, eps)
    return mean, var, r


def scale(
    x: Array, mean: Array, r: Array, gain: Array, b: Array, *, kind: str = "leaky", leak: float = 1.0
) -> tuple[Array, Array]:
    """xhat and y."""
    xhat, y = empty_like(x), empty_like(x)
    small = map(contiguous, (mean, r, gain, b))
    SCALE[kind].of(x.size)(contiguous(x), *small, xhat, y, rows_of(x.shape[2]), x.dtype.type(leak))
    return xhat, y


def sums(dy: Array, xhat: Array, gain: Array, b: Array, *, kind: str = "leaky", leak: float = 1.0) -> tuple[Array, Array]:
    """sum du and sum du xhat."""
    B, R, C = dy.shape
    rows = rows_of(C)
    parts = empty((2, B, -(-R // rows), C), dy.dtype)
    SUMS[kind].of(dy.size)(contiguous(dy), contiguous(xhat), contiguous(gain), contiguous(b), parts, rows, dy.dtype.type(leak))
    level, tilt = summed = empty((2, B, C), dy.dtype)
    add_up(parts.reshape(2 * B, -1, C), empty(C, np.float64), summed.reshape(2 * B, C), False)
    return level, tilt


def gradient(
    dy: Array,
    xhat: Array,
    gain: Array,
    b: Array,
    r: Array,
    level: Array,
    tilt: Array,
    *,
    groups: int | None = None,
    moving: bool = True,
    kind: str = "leaky",
    leak: float = 1.0,
) -> Array:
    """dx."""
    dx, (_, R, C) = empty_like(dy), dy.shape
    dy, xhat, gain, b, r, level, tilt = map(contiguous, (dy, xhat, gain, b, r, level, tilt))
    straight, down, across = few = empty((3, *r.shape), dy.dtype)
    coefficients(gain, r, level, tilt, groups or C, 1 / R if moving else 0.0, few)
    GRADIENT[kind].of(dy.size)(dy, xhat, gain, b, straight, down, across, dx, rows_of(C), dy.dtype.type(leak))
    return dx


def forward(
    x: Array, gain: Array, b: Array, *, eps: float, groups: int | None = None, kind: str = "leaky", leak: float = 1.0
) -> tuple[Array, Array, Array]:
    """xhat, y and r: statistics and scaling."""
    mean, _, r = statistics(x, eps=eps, groups=groups)
    return *scale(x, mean, r, gain, b, kind=kind, leak=leak), r


def backward(
    dy: Array,
    xhat: Array,
    gain: Array,
    b: Array,
    r: Array,
    *,
    groups: int | None = None,
    kind: str = "leaky",
    leak: float = 1.0,
) -> tuple[Array, Array, Array]:
    """dx, level and tilt: sums and gradient."""
    level, tilt = sums(dy, xhat, gain, b, kind=kind, leak=leak)
    return gradient(dy, xhat, gain, b, r, level, tilt, groups=groups, kind=kind, leak=leak), level, tilt


@CompiledTwice
def chunk_moments(x: Array, means: Array, squares: Array, rows: int) -> None:
    """Every chunk's mean and sum of squares about it, (B, K, C) each."""
    chunks, channels, height = np.uint64(means.shape[1]), np.uint64(x.shape[2]), np.uint64(x.shape[1])
    for task in prange(means.shape[0] * means.shape[1]):
        n, k = np.uint64(task) // chunks, np.uint64(task) % chunks
        first = k * np.uint64(rows)
        last = min(height, first + np.uint64(rows))
        for c in range(channels):
            means[n, k, c] = 0
            squares[n, k, c] = 0
        for i in range(first, last):
            for c in range(channels):
                means[n, k, c] += x[n, i, c]
        share = x.dtype.type(1) / x.dtype.type(last - first)
        for c in range(channels):
            means[n, k, c] *= share
        for i in range(first, last):
            for c in range(channels):
                off = x[n, i, c] - means[n, k, c]
                squares[n, k, c] += off * off


@compiled_for_one
def join(means: Array, squares: Array, rows: int, height: int, sums: Any, mean: Array, var: Array) -> None:
    """mean and var (B, C) of all chunks, of `rows` rows each but for the last, through sums (2, C) in float64."""
    chunks, channels = np.uint64(means.shape[1]), np.uint64(means.shape[2])
    step, R = np.uint64(rows), np.uint64(height)
    total, spread, share = sums[0], sums[1], 1 / np.float64(height)
    for n in range(np.uint64(means.shape[0])):
        for c in range(channels):
            total[c] = 0
            spread[c] = 0
        for k in range(chunks):
            count = np.float64(min(step, R - k * step))
            for c in range(channels):
                total[c] += count * means[n, k, c]
        for c in range(channels):
            total[c] *= share
            mean[n, c] = total[c]
        for k in range(chunks):
            count = np.float64(min(step, R - k * step))
            for c in range(channels):
                apart = means[n, k, c] - total[c]
                spread[c] += squares[n, k, c] + count * apart * apart
        for c in range(channels):
            var[n, c] = spread[c] * share


@compiled_for_one
def join_groups(mean: Array, var: Array, r: Array, groups: int, eps: float) -> None:
    """From those of every channel, mean and var of its group, in float64 and in place; and r = 1 / sqrt(var + eps)."""
    together = np.uint64(mean.shape[1]) // np.uint64(groups)
    share, one = 1 / np.float64(together), np.uint64(1)
    for n in range(np.uint64(mean.shape[0])):
        for g in range(np.uint64(groups)):
            first, beyond = g * together, (g + one) * together
            whole, square = 0.0, 0.0
            for c in range(first, beyond):
                whole += share * mean[n, c]
            for c in range(first, beyond):
                apart = mean[n, c] - whole
                square += share * (var[n, c] + apart * apart)
            factor = 1 / np.sqrt(square + eps)
            for c in range(first, beyond):
                mean[n, c], var[n, c], r[n, c] = whole, square, factor


@compiled_for_one
def coefficients(gain: Array, r: Array, level: Array, tilt: Array, groups: int, share: float, few: Array) -> None:
    """gain r, r m(gain level) and r m(gain tilt), with `share` = 1 / R: (3, B, C)."""
    together, one, two = np.uint64(r.shape[1]) // np.uint64(groups), np.uint64(1), np.uint64(2)
    share = share / np.float64(together)
    for n in range(np.uint64(r.shape[0])):
        for g in range(np.uint64(groups)):
            first, beyond = g * together, (g + one) * together
            down, across = 0.0, 0.0
            for c in range(first, beyond):
                down += gain[c] * level[n, c]
                across += gain[c] * tilt[n, c]
            for c in range(first, beyond):
                few[np.uint64(0), n, c] = gain[c] * r[n, c]
                few[one, n, c] = r[n, c] * share * down
                few[two, n, c] = r[n, c] * share * across


def scale_kernel(SILU: bool) -> Any:
    """The kernel for one of the two activations, which the compiler must know."""

    @CompiledTwice
    def scaled(x: Array, mean: Array, r: Array, gain: Array, b: Array, xhat: Array, y: Array, rows: int, leak: Any) -> None:
        """xhat and y."""
        height, channels = np.uint64(x.shape[1]), np.uint64(x.shape[2])
        chunks = (height + np.uint64(rows) - np.uint64(1)) // np.uint64(rows)
        for task in prange(x.shape[0] * np.int64(chunks)):
            n, k = np.uint64(task) // chunks, np.uint64(task) % chunks
            for i in range(k * np.uint64(rows), min(height, (k + np.uint64(1)) * np.uint64(rows))):
                for c in range(channels):
                    z = (x[n, i, c] - mean[n, c]) * r[n, c]
                    u = gain[c] * z + b[c]
                    xhat[n, i, c] = z
                    if SILU:
                        y[n, i, c] = u * sigmoid(u)
                    else:
                        y[n, i, c] = u if u > 0 else leak * u

    return scaled


def sums_kernel(SILU: bool) -> Any:
    """The same for the sums."""

    @CompiledTwice
    def summed(dy: Array, xhat: Array, gain: Array, b: Array, parts: Array, rows: int, leak: Any) -> None:
        """Every chunk's sum of du and of du xhat: (2, B, K, C)."""
        height, channels, chunks = np.uint64(dy.shape[1]), np.uint64(dy.shape[2]), np.uint64(parts.shape[2])
        zero, one = np.uint64(0), np.uint64(1)
        for task in prange(parts.shape[1] * parts.shape[2]):
            n, k = np.uint64(task) // chunks, np.uint64(task) % chunks
            for c in range(channels):
                parts[zero, n, k, c] = 0
                parts[one, n, k, c] = 0
            for i in range(k * np.uint64(rows), min(height, (k + one) * np.uint64(rows))):
                for c in range(channels):
                    z = xhat[n, i, c]
                    u = gain[c] * z + b[c]
                    if SILU:
                        s = sigmoid(u)
                        du = dy[n, i, c] * (s + u * s * sigmoid(-u))
                    else:
                        du = dy[n, i, c] if u > 0 else leak * dy[n, i, c]
                    parts[zero, n, k, c] += du
                    parts[one, n, k, c] += du * z

    return summed


def gradient_kernel(SILU: bool) -> Any:
    """The same for the gradient."""

    @CompiledTwice
    def projected(
        dy: Array,
        xhat: Array,
        gain: Array,
        b: Array,
        straight: Array,
        down: Array,
        across: Array,
        dx: Array,
        rows: int,
        leak: Any,
    ) -> None:
        """dx."""
        height, channels = np.uint64(dy.shape[1]), np.uint64(dy.shape[2])
        chunks = (height + np.uint64(rows) - np.uint64(1)) // np.uint64(rows)
        for task in prange(dy.shape[0] * np.int64(chunks)):
            n, k = np.uint64(task) // chunks, np.uint64(task) % chunks
            for i in range(k * np.uint64(rows), min(height, (k + np.uint64(1)) * np.uint64(rows))):
                for c in range(channels):
                    z = xhat[n, i, c]
                    u = gain[c] * z + b[c]
                    if SILU:
                        s = sigmoid(u)
                        du = dy[n, i, c] * (s + u * s * sigmoid(-u))
                    else:
                        du = dy[n, i, c] if u > 0 else leak * dy[n, i, c]
                    dx[n, i, c] = straight[n, c] * du - down[n, c] - across[n, c] * z

    return projected


SCALE, SUMS, GRADIENT = ({"leaky": make(False), "silu": make(True)} for make in (scale_kernel, sums_kernel, gradient_kernel))
