"""The Bernoulli likelihood and its gradient in one pass. The formula is in `definition.py`.

Against the definition: there about ten passes over memory, here one, which reads z and x and writes dlogits. What remains is
exp and log1p. Calls of the C library would be taken one element at a time, several times slower than NumPy's own; so in float32
both are written out here as polynomials, which the compiler turns into vector instructions like any other arithmetic.

exp(u) for u <= 0: with n = round(u / ln 2) and r = u - n ln 2, |r| <= 0.35, exp(u) = 2^n exp(r); exp(r) is its Taylor series to
r^7 (the next term is below 6e-9), and 2^n is the bit pattern with n + 127 in the exponent. Below u = -87 the result leaves
float32's normal range, and u is held there: exp(-87) = 2e-38 is 0 beside 1.

log(1 + t) for 0 <= t <= 1: with s = t / (2 + t) <= 1/3, log(1 + t) = 2 artanh(s) = 2 (s + s^3 / 3 + ... + s^15 / 15); the next
term is below 1e-9.

Each chunk of CHUNK elements is summed in float64 into its own place: the result does not depend on the number of threads.

Legend: z the logits, x the data, n their number; flat here.
"""

from __future__ import annotations

import math

import numpy as np
from numba import prange

from minigen.backend import Array, empty

from ..arguments import contiguous, output
from ..jit import compiled

CHUNK = 4096
ZERO, HALF, ONE, TWO = np.float32(0), np.float32(0.5), np.float32(1), np.float32(2)
BIAS = np.int32(127)  # of a float32's exponent, which begins at bit 23
LOWEST, LOG2_E, LN_2 = np.float32(-87), np.float32(1 / math.log(2)), np.float32(math.log(2))
E2, E3, E4, E5, E6, E7 = (np.float32(1 / math.factorial(i)) for i in range(2, 8))
L3, L5, L7, L9, L11, L13, L15 = (np.float32(1 / i) for i in range(3, 16, 2))


def loss(logits: Array, x: Array, *, out: Array | None = None) -> tuple[float, Array]:
    """-> (total over all elements, dlogits)."""
    out = output(out, logits.shape, logits.dtype, like=logits)
    sums = empty(-(-logits.size // CHUNK), np.float64)
    sweep = sweep_float32 if logits.dtype == np.float32 else sweep_float64
    sweep(contiguous(logits).reshape(-1), contiguous(x).reshape(-1), out.reshape(-1), sums)
    return float(np.sum(sums)), out


@compiled
def sweep_float32(z: Array, x: Array, dz: Array, sums: Array) -> None:
    """Fills dz (n,) and sums (ceil(n / CHUNK),)."""
    n = z.shape[0]
    for chunk in prange(sums.shape[0]):
        total = 0.0
        for i in range(chunk * CHUNK, min(n, (chunk + 1) * CHUNK)):
            u = -abs(z[i])
            u = LOWEST if u < LOWEST else u
            power = np.floor(u * LOG2_E + HALF)
            r = u - power * LN_2
            series = ONE + r * (ONE + r * (E2 + r * (E3 + r * (E4 + r * (E5 + r * (E6 + r * E7))))))
            exponent = np.int32(power) if power > -BIAS else np.int32(0)  # 0 for NaN
            t = series * np.int32((exponent + BIAS) << np.int32(23)).view(np.float32)
            s = t / (TWO + t)
            s2 = s * s
            log1p = TWO * s * (ONE + s2 * (L3 + s2 * (L5 + s2 * (L7 + s2 * (L9 + s2 * (L11 + s2 * (L13 + s2 * L15)))))))
            positive = z[i] > 0
            total += np.float64((z[i] if positive else ZERO) + log1p - x[i] * z[i])
            dz[i] = (ONE if positive else t) / (ONE + t) - x[i]
        sums[chunk] = total


@compiled
def sweep_float64(z: Array, x: Array, dz: Array, sums: Array) -> None:
    """The same in double precision, with the C library's functions."""
    n = z.shape[0]
    for chunk in prange(sums.shape[0]):
        total = 0.0
        for i in range(chunk * CHUNK, min(n, (chunk + 1) * CHUNK)):
            t = math.exp(-abs(z[i]))
            positive = z[i] > 0
            total += (z[i] if positive else 0.0) + math.log1p(t) - x[i] * z[i]
            dz[i] = (1.0 if positive else t) / (1.0 + t) - x[i]
        sums[chunk] = total
