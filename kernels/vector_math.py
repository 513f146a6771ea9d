"""exp, log1p, sigmoid, softplus, tanh and the largest of a row for kernels, written out, so that they are vector instructions.

Numba calls the C library for them one number at a time, at a third of the speed of NumPy's own. In float32 they are polynomials
here, which the compiler treats like any other arithmetic; in float64, where kernels are used for comparison, they stay the
library's. `compiled` (jit.py) knows this file: when it changes, all kernels are compiled anew.

    exp      With n = round(x / ln 2) and r = x - n ln 2, |r| <= 0.347: e^x = 2^n e^r. ln 2 is taken off in two parts, the
             first of few bits, so that n times it is exact. e^r is its Taylor series to r^7, whose next term is below 6e-9.
             To multiply by 2^n is to add n to the exponent's bits. Within 2 units in the last place (ulp); infinite above
             88.72283, 0 below -87.33654, where float32 has no normal numbers left, NaN for NaN.
    sigmoid  (1 or t) / (1 + t) with t = e^-|x|: nothing overflows or cancels. Within 4 ulp.
    tanh     (1 - t) / (1 + t) with t = e^-2|x|. Below |x| = 0.625 that would cancel; there it is Lambert's continued fraction
             x / (1 + z / (3 + z / (5 + ...))), z = x^2, cut after 11, whose error is below 1e-10. Within 4 ulp.
    log1p    log(1 + t), of 0 <= t <= 1 alone: with s = t / (2 + t) <= 1/3 it is 2 artanh(s), 2 (s + s^3 / 3 + ... + s^15 / 15).
             The next term is below 1e-9. Within 3 ulp.
    log      x = 2^n m with sqrt(1/2) <= m < sqrt(2): log x = n ln 2 + log m. With s = (m - 1) / (m + 1), |s| <= 0.172, log m is
             2 artanh(s), 2 (s + s^3 / 3 + ... + s^9 / 9). The next term is below 3e-9 of it. What is smaller than a normal
             number is first multiplied by 2^23. Within 3 ulp; minus infinity of 0, NaN below.
    softplus max(x, 0) + log1p(e^-|x|). Within 4 ulp.
    largest  Of a row, kept in LANES places side by side, since the largest of one chain of numbers may not be reordered where
             a NaN might be among them. A NaN is larger than nothing: it is left out, unless the row begins with it.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import types
from numba.extending import overload, register_jitable

from .jit import registers

# The order of operations is part of these functions: what a kernel may reorder (jit.py), they may not.
exactly = register_jitable(fastmath={"contract"})

ZERO, HALF, ONE, TWO, INFINITY, UNKNOWN = (np.float32(n) for n in (0, 0.5, 1, 2, np.inf, np.nan))
LOWEST, HIGHEST = np.float32(-87.33654), np.float32(88.72283)  # between them e^x is a normal float32
LOG2_E, LN_2_HIGH = np.float32(1 / math.log(2)), np.float32(0.693359375)
LN_2_LOW = np.float32(math.log(2) - 0.693359375)
E2, E3, E4, E5, E6, E7 = (np.float32(1 / math.factorial(i)) for i in range(2, 8))
MANTISSA = np.int32(23)  # the bit at which the exponent begins
SMALL = np.float32(0.625)
L3, L5, L7, L9, L11, L13, L15 = (np.float32(1 / i) for i in range(3, 16, 2))
T0, T1, T2, U1, U2 = (np.float32(n) for n in (10395, 1260, 21, 4725, 210))  # of the continued fraction, as one quotient

TINY, RAISED, RAISED_BY = np.float32(2.0**-126), np.float32(2.0**23), np.int32(23)  # the least normal number
ROOT = np.float32(0.5**0.5).view(np.int32)  # from here to sqrt(2) the power is 0

LANES = 16
_ZERO, _ONE, _L = np.uint64(0), np.uint64(1), np.uint64(LANES)


@exactly
def exp_float32(x: Any) -> Any:
    """e^x."""
    held = LOWEST if x < LOWEST else x
    held = HIGHEST if held > HIGHEST else held
    power = np.floor(held * LOG2_E + HALF)
    r = held - power * LN_2_HIGH - power * LN_2_LOW
    series = ONE + r * (ONE + r * (E2 + r * (E3 + r * (E4 + r * (E5 + r * (E6 + r * E7))))))
    n = np.int32(power) if held == held else np.int32(0)  # 0 for NaN, which is no integer
    y = np.int32(np.float32(series).view(np.int32) + np.int32(n << MANTISSA)).view(np.float32)
    y = ZERO if x < LOWEST else y
    return INFINITY if x > HIGHEST else y


@exactly
def tanh_float32(x: Any) -> Any:
    """tanh x."""
    z = x * x
    near = x * (T0 + z * (T1 + z * T2)) / (T0 + z * (U1 + z * (U2 + z)))
    t = exp_float32(-TWO * abs(x))
    far = (ONE - t) / (ONE + t)
    return near if abs(x) < SMALL else (-far if x < 0 else far)


@exactly
def sigmoid_float32(x: Any) -> Any:
    """1 / (1 + e^-x)."""
    t = exp_float32(-abs(x))
    return (t if x < 0 else ONE) / (ONE + t)


@exactly
def sigmoid_float64(x: Any) -> Any:
    """1 / (1 + e^-x)."""
    t = math.exp(-abs(x))
    return (t if x < 0 else 1.0) / (1.0 + t)


@exactly
def log1p_float32(t: Any) -> Any:
    """log(1 + t)."""
    s = t / (TWO + t)
    s2 = s * s
    return TWO * s * (ONE + s2 * (L3 + s2 * (L5 + s2 * (L7 + s2 * (L9 + s2 * (L11 + s2 * (L13 + s2 * L15)))))))


@exactly
def log_float32(x: Any) -> Any:
    """log x."""
    small = x < TINY
    held = np.float32(x * RAISED if small else x)
    bits = held.view(np.int32)
    n = np.int32(np.int32(bits - ROOT) >> MANTISSA)
    m = np.int32(bits - np.int32(n << MANTISSA)).view(np.float32)
    s = (m - ONE) / (m + ONE)
    s2 = s * s
    series = TWO * s * (ONE + s2 * (L3 + s2 * (L5 + s2 * (L7 + s2 * L9))))
    power = np.float32(np.int32(n - RAISED_BY) if small else n)
    y = power * LN_2_HIGH + (series + power * LN_2_LOW)
    y = y if x < INFINITY else x  # of NaN too
    return (-INFINITY if x == 0 else UNKNOWN) if x <= 0 else y


@exactly
def softplus_float32(x: Any) -> Any:
    """log(1 + e^x)."""
    return (ZERO if x < 0 else x) + log1p_float32(exp_float32(-abs(x)))


@exactly
def softplus_float64(x: Any) -> Any:
    """log(1 + e^x)."""
    return (0.0 if x < 0 else x) + math.log1p(math.exp(-abs(x)))


@exactly
def largest(row: Any) -> Any:
    """The largest of a row (K,), K > 0, whatever its type."""
    tops, many = registers(1, LANES, row.dtype), np.uint64(row.shape[0])
    whole = many // _L * _L
    for lane in range(_L):
        tops[_ZERO, lane] = row[_ZERO]
    for k in range(_ZERO, whole, _L):
        for lane in range(_L):
            tops[_ZERO, lane] = row[k + lane] if row[k + lane] > tops[_ZERO, lane] else tops[_ZERO, lane]
    top = tops[_ZERO, _ZERO]
    for lane in range(_ONE, _L):
        top = tops[_ZERO, lane] if tops[_ZERO, lane] > top else top
    for k in range(whole, many):
        top = row[k] if row[k] > top else top
    return top


def exp(x: Any) -> Any:
    """e^x, of a float32 or a float64 in a kernel."""
    raise NotImplementedError("a function for kernels")


def tanh(x: Any) -> Any:
    """tanh x, of a float32 or a float64 in a kernel."""
    raise NotImplementedError("a function for kernels")


def sigmoid(x: Any) -> Any:
    """1 / (1 + e^-x), of a float32 or a float64 in a kernel."""
    raise NotImplementedError("a function for kernels")


def log(x: Any) -> Any:
    """log x, of a float32 or a float64 in a kernel."""
    raise NotImplementedError("a function for kernels")


def log1p(t: Any) -> Any:
    """log(1 + t) of 0 <= t <= 1, a float32 or a float64 in a kernel."""
    raise NotImplementedError("a function for kernels")


def softplus(x: Any) -> Any:
    """log(1 + e^x), of a float32 or a float64 in a kernel."""
    raise NotImplementedError("a function for kernels")


@overload(exp, strict=False)
def _exp(x: Any) -> Any:
    return (lambda x: exp_float32(x)) if x == types.float32 else (lambda x: math.exp(x))


@overload(tanh, strict=False)
def _tanh(x: Any) -> Any:
    return (lambda x: tanh_float32(x)) if x == types.float32 else (lambda x: math.tanh(x))


@overload(sigmoid, strict=False)
def _sigmoid(x: Any) -> Any:
    return (lambda x: sigmoid_float32(x)) if x == types.float32 else (lambda x: sigmoid_float64(x))


@overload(log, strict=False)
def _log(x: Any) -> Any:
    return (lambda x: log_float32(x)) if x == types.float32 else (lambda x: math.log(x))


@overload(log1p, strict=False)
def _log1p(t: Any) -> Any:
    return (lambda t: log1p_float32(t)) if t == types.float32 else (lambda t: math.log1p(t))


@overload(softplus, strict=False)
def _softplus(x: Any) -> Any:
    return (lambda x: softplus_float32(x)) if x == types.float32 else (lambda x: softplus_float64(x))
