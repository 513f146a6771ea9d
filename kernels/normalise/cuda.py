"""The passes of a normalisation on a GPU, in CUDA C (`passes.cu`). The formulas are in `definition.py`.

Against the definition: each pass is one kernel that reads its values once, sums in a fixed order.

Error: mean and sums u (R / (K h) + log2 h + K) of the sum of the absolute values, u = 2^-24; see passes.cu for the rest.

Legend: B, C what statistics belong to, R what they are over, K chunks of rows. x, y, xhat, dy, dx (B, R, C);
mean, r, straight, level, tilt (B, C); gain, b (C,).
"""

from __future__ import annotations

from minigen.backend import Array, empty, empty_like

from ..arguments import contiguous
from ..cuda.launch import each
from ..cuda.sums import Walk, joined

FILE = "normalise/passes.cu"
KINDS = {"leaky": 0, "silu": 3}  # the kernel's KIND


def moments(x: Array) -> tuple[Array, Array]:
    """Mean and variance."""
    B, R, C = x.shape
    walk = Walk(B, R, C)
    means, squares = (empty((walk.many, B, C), x.dtype, like=x) for _ in range(2))
    walk.launch(FILE, "moments_of_chunks", contiguous(x), means, squares, B, R, C, walk.chunk)
    mean, var = (empty((B, C), x.dtype, like=x) for _ in range(2))
    each(FILE, "joined_moments", B * C, means, squares, mean, var, walk.many, B * C, R, walk.chunk)
    return mean, var


def scale(
    x: Array, mean: Array, r: Array, gain: Array, b: Array, *, kind: str = "leaky", leak: float = 1.0
) -> tuple[Array, Array]:
    """xhat and y."""
    B, R, C = x.shape
    walk, xhat, y = Walk(B, R, C), empty_like(x), empty_like(x)
    small = map(contiguous, (mean, r, gain, b))
    walk.launch(FILE, "scaled", contiguous(x), *small, xhat, y, R, C, walk.chunk, leak, KIND=KINDS[kind])
    return xhat, y


def sums(dy: Array, xhat: Array, gain: Array, b: Array, *, kind: str = "leaky", leak: float = 1.0) -> tuple[Array, Array]:
    """sum du and sum du xhat."""
    B, R, C = dy.shape
    walk = Walk(B, R, C)
    parts = [empty((walk.many, B, C), dy.dtype, like=dy) for _ in range(2)]
    values = map(contiguous, (dy, xhat, gain, b))
    walk.launch(FILE, "summed", *values, *parts, B, R, C, walk.chunk, leak, KIND=KINDS[kind])
    level, tilt = (joined(part, empty((B, C), dy.dtype, like=dy)) for part in parts)
    return level, tilt


def gradient(
    dy: Array,
    xhat: Array,
    gain: Array,
    b: Array,
    straight: Array,
    level: Array,
    tilt: Array,
    *,
    kind: str = "leaky",
    leak: float = 1.0,
) -> Array:
    """dx."""
    B, R, C = dy.shape
    walk, dx = Walk(B, R, C), empty_like(dy)
    values = map(contiguous, (dy, xhat, gain, b, straight, level, tilt))
    walk.launch(FILE, "projected", *values, dx, R, C, walk.chunk, leak, KIND=KINDS[kind])
    return dx
