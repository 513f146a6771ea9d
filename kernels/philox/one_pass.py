"""Philox and the numbers made of it, in one pass. Cipher and formulas are in `definition.py`.

Against the definition: ten rounds of NumPy write some sixty arrays of the draw's size, and Box and Muller's formula a dozen
more. Here a task takes one chunk of blocks from counters to numbers while it lies in the nearest cache. All ten rounds are
written out by the compiler, so that the loop over the blocks becomes vector instructions on words that stay in registers; with
the rounds outside, each of them read and wrote the chunk. Words, uniform numbers, events and integers are the same bits as the
definition's: integers do not round, and the scaling is exact.

Normal numbers in float32 need no function of a library, which would be called one number at a time. The integers make the
reductions exact, and what is left are short polynomials, which become vector instructions too:

    ln u, u = U 2^-24 for an integer U in 1 .. 2^24. The float32 U is 2^e m, and its bits hold e and m; with m brought between
    sqrt(1/2) and sqrt(2), s = (m - 1) / (m + 1) and |s| <= 0.172: ln m = 2 artanh(s) = 2 (s + s^3 / 3 + ... + s^9 / 9), and the
    next term is below 1e-9.
    The angle is V 2^-24 of a turn, V an integer. The nearest quarter of a turn leaves a, an eighth at most to either side.
    cos a and sin a are their Taylor series to a^10 and a^9; the quarter says which of the two is which, and their signs.

They lie within 1e-6 of the exact value of the formula, and within 4 units in the last place; the definition, which rounds the
angle before it takes the cosine, within 3e-6. Whole chunks are computed and the last one is cut: number i has the same bits in
every draw that is made here, however long, with any number of threads.

Legend: n words or numbers drawn, B blocks of four words.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import prange
from numba.extending import register_jitable

from minigen.backend import Array, empty

from ..combine import contiguous
from ..jit import compiled
from .definition import Words

# The cipher's constants, again (definition.py derives them): a kernel's file is complete in itself.
M0, M1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
W0, W1 = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)
LOW, HALF = np.uint64(0xFFFFFFFF), np.uint64(32)
CHUNK = 256  # blocks that one task fills

ONE_INT, EIGHT = np.int32(1), np.uint32(8)
STEP = np.float32(2.0**-24)
MANTISSA, EXPONENT, BIAS = np.int32(0x007FFFFF), np.int32(23), np.int32(127)  # the layout of a float32
ONE, TWO, LN_2, ROOT_2 = np.float32(1), np.float32(2), np.float32(math.log(2)), np.float32(math.sqrt(2))
L3, L5, L7, L9 = (np.float32(1 / i) for i in (3, 5, 7, 9))
UNIT = np.float32(2 * math.pi / 2**24)  # radians in V
S3, S5, S7, S9 = (np.float32((-1) ** (i // 2) / math.factorial(i)) for i in (3, 5, 7, 9))
C2, C4, C6, C8, C10 = (np.float32((-1) ** (i // 2) / math.factorial(i)) for i in (2, 4, 6, 8, 10))


def words(key: Words, n: int, *, like: Any = None) -> Array:
    """The first `n` words of the draw of the key (k0, k1, c2, c3): (n,) uint32."""
    drawn = _chunks(n, np.dtype(np.uint32), like)
    fill_words(drawn, *_scalars(key))
    return drawn.reshape(-1)[:n]


def uniform(key: Words, n: int, dtype: np.dtype[Any], *, like: Any = None) -> Array:
    """u 2^-24 of the upper 24 bits in float32, (word + 1/2) 2^-32 in float64: (n,), exact, in [0, 1)."""
    drawn = _chunks(n, dtype, like)
    fill = fill_uniform_float32 if dtype == np.float32 else fill_uniform_float64
    fill(drawn, *_scalars(key))
    return drawn.reshape(-1)[:n]


def normal(key: Words, n: int, dtype: np.dtype[Any], *, like: Any = None) -> Array:
    """(n,) standard normal numbers; u is moved into (0, 1], where its logarithm is finite."""
    drawn = _chunks(n, dtype, like)
    fill = fill_normal_float32 if dtype == np.float32 else fill_normal_float64
    fill(drawn, *_scalars(key))
    return drawn.reshape(-1)[:n]


def bernoulli(key: Words, p: Any, n: int, dtype: np.dtype[Any], *, like: Any = None) -> Array:
    """1 where u < p, else 0: (n,), with u in float32; p a number or (n,)."""
    happens = empty(n, dtype, like=like)
    if hasattr(p, "dtype"):
        fill_below_each(happens, contiguous(p), *_scalars(key))
    else:
        fill_below(happens, np.float32(p), *_scalars(key))
    return happens


def integers(key: Words, high: int, n: int, *, start: int = 0, like: Any = None) -> Array:
    """start + floor(word high / 2^32), (n,) int64."""
    drawn = _chunks(n, np.dtype(np.int64), like)
    fill_integers(drawn, np.uint64(high), np.int64(start), *_scalars(key))
    return drawn.reshape(-1)[:n]


def _chunks(n: int, dtype: np.dtype[Any], like: Any) -> Array:
    return empty((-(-n // (4 * CHUNK)), CHUNK, 4), dtype, like=like)


def _scalars(key: Words) -> tuple[Any, ...]:
    return tuple(np.uint64(word) for word in key)


# ---- one chunk: functions of their own, whose loops become vector instructions; in the body of a parallel loop they would not


@register_jitable
def encrypt(w: Array, chunk: int, k0: Any, k1: Any, c2: Any, c3: Any) -> None:
    """w (4, CHUNK) = the four words of every block of a chunk. All ten rounds of some blocks are made in registers."""
    for i in range(CHUNK):
        number = np.uint64(chunk * CHUNK + i)
        a, b, c, d = number & LOW, number >> HALF, c2 & LOW, c3 & LOW  # so that the compiler knows: products of 32 bits
        x, y = k0 & LOW, k1 & LOW
        for _ in range(10):
            p, q = M0 * a, M1 * c
            a, b, c, d = (q >> HALF) ^ b ^ x, q & LOW, (p >> HALF) ^ d ^ y, p & LOW
            x, y = (x + W0) & LOW, (y + W1) & LOW
        w[0, i], w[1, i], w[2, i], w[3, i] = a, b, c, d


@register_jitable
def put(drawn: Array, w: Array) -> None:
    """drawn (CHUNK, 4) = words or numbers w (4, CHUNK), block by block."""
    for i in range(CHUNK):  # the four written out, which become one store of all registers
        drawn[i, 0], drawn[i, 1], drawn[i, 2], drawn[i, 3] = w[0, i], w[1, i], w[2, i], w[3, i]


@register_jitable
def put_uniform(drawn: Array, w: Array) -> None:
    """The same of their upper 24 bits 2^-24; as signed integers, which become float32 in one instruction."""
    for i in range(CHUNK):
        drawn[i, 0], drawn[i, 1] = fraction(w[0, i]), fraction(w[1, i])
        drawn[i, 2], drawn[i, 3] = fraction(w[2, i]), fraction(w[3, i])


@register_jitable
def fraction(word: Any) -> Any:
    """u in [0, 1)."""
    return np.float32(np.int32(word >> EIGHT)) * STEP


@register_jitable
def box_muller_float32(first: Any, second: Any) -> Any:
    """Two normal numbers of two words."""
    first, second = np.int32(first >> EIGHT), np.int32(second >> EIGHT)  # U - 1 and V
    bits = np.float32(np.int32(first + ONE_INT)).view(np.int32)  # of U
    m = np.int32(np.int32(bits & MANTISSA) | np.int32(BIAS << EXPONENT)).view(np.float32)  # [1, 2)
    large = m > ROOT_2
    m = m / TWO if large else m
    e = np.int32(np.int32(bits >> EXPONENT) - BIAS)
    e = np.int32(e - np.int32(23)) if large else np.int32(e - np.int32(24))
    s = (m - ONE) / (m + ONE)
    s2 = s * s
    ln = np.float32(e) * LN_2 + TWO * s * (ONE + s2 * (L3 + s2 * (L5 + s2 * (L7 + s2 * L9))))
    radius = np.sqrt(-TWO * ln)
    quarter = np.int32(np.int32(second + np.int32(1 << 21)) >> np.int32(22))
    a = np.float32(np.int32(second - np.int32(quarter << np.int32(22)))) * UNIT  # [-pi / 4, pi / 4)
    a2 = a * a
    sine = a * (ONE + a2 * (S3 + a2 * (S5 + a2 * (S7 + a2 * S9))))
    cosine = ONE + a2 * (C2 + a2 * (C4 + a2 * (C6 + a2 * (C8 + a2 * C10))))
    across = np.int32(quarter & ONE_INT) != 0  # an odd number of quarters: cosine and sine change places
    x, y = (sine if across else cosine), (cosine if across else sine)
    x = -x if np.int32(np.int32(quarter + ONE_INT) & np.int32(2)) != 0 else x
    y = -y if np.int32(quarter & np.int32(2)) != 0 else y
    return radius * x, radius * y


@register_jitable
def normal_float32(z: Array, w: Array) -> None:
    """z (4, CHUNK) = normal numbers."""
    for j in range(0, 4, 2):
        for i in range(CHUNK):
            z[j, i], z[j + 1, i] = box_muller_float32(w[j, i], w[j + 1, i])


# ---- the kernels: drawn (chunks, CHUNK, 4), one task for each chunk


@compiled
def fill_words(drawn: Array, k0: Any, k1: Any, c2: Any, c3: Any) -> None:
    """Random words."""
    for chunk in prange(drawn.shape[0]):
        w = np.empty((4, CHUNK), np.uint32)
        encrypt(w, chunk, k0, k1, c2, c3)
        put(drawn[chunk], w)


@compiled
def fill_uniform_float32(drawn: Array, k0: Any, k1: Any, c2: Any, c3: Any) -> None:
    """Uniform numbers."""
    for chunk in prange(drawn.shape[0]):
        w = np.empty((4, CHUNK), np.uint32)
        encrypt(w, chunk, k0, k1, c2, c3)
        put_uniform(drawn[chunk], w)


@compiled
def fill_uniform_float64(drawn: Array, k0: Any, k1: Any, c2: Any, c3: Any) -> None:
    """Uniform numbers of all bits."""
    for chunk in prange(drawn.shape[0]):
        w = np.empty((4, CHUNK), np.uint32)
        encrypt(w, chunk, k0, k1, c2, c3)
        for i in range(CHUNK):
            for j in range(4):
                drawn[chunk, i, j] = (np.float64(w[j, i]) + 0.5) * 2.0**-32


@compiled
def fill_normal_float32(drawn: Array, k0: Any, k1: Any, c2: Any, c3: Any) -> None:
    """Normal numbers."""
    for chunk in prange(drawn.shape[0]):
        w = np.empty((4, CHUNK), np.uint32)
        encrypt(w, chunk, k0, k1, c2, c3)
        z = np.empty((4, CHUNK), np.float32)
        normal_float32(z, w)
        put(drawn[chunk], z)


@compiled
def fill_normal_float64(drawn: Array, k0: Any, k1: Any, c2: Any, c3: Any) -> None:
    """Normal numbers of all bits, with the C library's functions."""
    for chunk in prange(drawn.shape[0]):
        w = np.empty((4, CHUNK), np.uint32)
        encrypt(w, chunk, k0, k1, c2, c3)
        for i in range(CHUNK):
            for j in range(0, 4, 2):
                radius = math.sqrt(-2.0 * math.log((np.float64(w[j, i]) + 1.0) * 2.0**-32))
                angle = 2.0 * math.pi * (np.float64(w[j + 1, i]) * 2.0**-32)
                drawn[chunk, i, j], drawn[chunk, i, j + 1] = radius * math.cos(angle), radius * math.sin(angle)


@compiled
def fill_below(happens: Array, p: Any, k0: Any, k1: Any, c2: Any, c3: Any) -> None:
    """happens (n,): whether a uniform number is below p."""
    n = happens.shape[0]
    for chunk in prange((n + 4 * CHUNK - 1) // (4 * CHUNK)):
        w, u = np.empty((4, CHUNK), np.uint32), np.empty((CHUNK, 4), np.float32)
        encrypt(w, chunk, k0, k1, c2, c3)
        put_uniform(u, w)
        here, u_here = happens[4 * CHUNK * chunk :][: 4 * CHUNK], u.reshape(-1)
        for i in range(here.shape[0]):
            here[i] = u_here[i] < p


@compiled
def fill_below_each(happens: Array, p: Array, k0: Any, k1: Any, c2: Any, c3: Any) -> None:
    """The same for p (n,)."""
    n = happens.shape[0]
    for chunk in prange((n + 4 * CHUNK - 1) // (4 * CHUNK)):
        w, u = np.empty((4, CHUNK), np.uint32), np.empty((CHUNK, 4), np.float32)
        encrypt(w, chunk, k0, k1, c2, c3)
        put_uniform(u, w)
        here, p_here, u_here = happens[4 * CHUNK * chunk :][: 4 * CHUNK], p[4 * CHUNK * chunk :], u.reshape(-1)
        for i in range(here.shape[0]):
            here[i] = u_here[i] < p_here[i]


@compiled
def fill_integers(drawn: Array, high: Any, start: Any, k0: Any, k1: Any, c2: Any, c3: Any) -> None:
    """Integers from `start` on, of which there are `high`."""
    for chunk in prange(drawn.shape[0]):
        w = np.empty((4, CHUNK), np.uint32)
        encrypt(w, chunk, k0, k1, c2, c3)
        for i in range(CHUNK):
            for j in range(4):
                drawn[chunk, i, j] = start + np.int64((np.uint64(w[j, i]) * high) >> HALF)
