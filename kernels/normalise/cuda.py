"""The passes of a normalisation on a GPU, in CUDA C (`passes.cu`, `whole.cu`). The formulas are in `definition.py`.

Against the definition: each pass is one kernel that reads its values once, sums in a fixed order. Where batches are many, or
small, all passes there are one launch, and all back.

Error: mean and sums u (R / (K h) + log2 h + K) of the sum of the absolute values, u = 2^-24; see passes.cu for the rest.

Legend: B batches, R rows, C channels, G groups, K chunks of rows. x, y, xhat, dy, dx (B, R, C); mean, var, r, level, tilt
(B, C); gain, b (C,).
"""

from __future__ import annotations

from minigen.backend import Array, empty, empty_like

from ..combine import contiguous
from ..cuda.launch import each, launch
from ..cuda.sums import Walk, joined, power_of_two

FILE, WHOLE = "normalise/passes.cu", "normalise/whole.cu"
MOST_CHANNELS, MOST_THREADS = 256, 1024  # of a block that takes a batch whole
MANY, SMALL = 32, 1 << 13  # batches that keep a GPU busy; numbers of a batch that are soon done
KINDS = {"leaky": 0, "silu": 3}  # the kernel's KIND


def statistics(x: Array, *, eps: float, groups: int | None = None) -> tuple[Array, Array, Array]:
    """Mean, variance and r."""
    B, R, C = x.shape
    walk = Walk(B, R, C)
    means, squares = (empty((walk.many, B, C), x.dtype, like=x) for _ in range(2))
    walk.launch(FILE, "moments_of_chunks", contiguous(x), means, squares, B, R, C, walk.chunk)
    mean, var, r = (empty((B, C), x.dtype, like=x) for _ in range(3))
    sizes = walk.many, B * C, R, walk.chunk, C // (groups or C)
    each(FILE, "joined_moments", B * C, means, squares, mean, var, r, *sizes, eps)
    return mean, var, r


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
    parts = empty((walk.many, 2 * B, C), dy.dtype, like=dy)
    values = map(contiguous, (dy, xhat, gain, b))
    walk.launch(FILE, "summed", *values, parts, B, R, C, walk.chunk, leak, KIND=KINDS[kind])
    both = parts[0] if walk.many == 1 else joined(parts, empty((2 * B, C), dy.dtype, like=dy))
    return both[:B], both[B:]


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
    B, R, C = dy.shape
    walk, dx, K = Walk(B, R, C), empty_like(dy), C // (groups or C)
    values = map(contiguous, (dy, xhat, gain, b, r, level, tilt))
    share = 1 / (R * K) if moving else 0.0
    walk.launch(FILE, "projected", *values, dx, R, C, walk.chunk, K, share, leak, KIND=KINDS[kind])
    return dx


def forward(
    x: Array, gain: Array, b: Array, *, eps: float, groups: int | None = None, kind: str = "leaky", leak: float = 1.0
) -> tuple[Array, Array, Array]:
    """xhat, y and r."""
    if not _is_whole(x):
        mean, _, r = statistics(x, eps=eps, groups=groups)
        return *scale(x, mean, r, gain, b, kind=kind, leak=leak), r
    B, R, C = x.shape
    xhat, y, r = empty_like(x), empty_like(x), empty((B, C), x.dtype, like=x)
    arrays = *map(contiguous, (x, gain, b)), xhat, y, r
    launch(WHOLE, "normalised_whole", (B,), _block(R, C), *arrays, R, C // (groups or C), eps, leak, KIND=KINDS[kind])
    return xhat, y, r


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
    """dx, level and tilt."""
    if not _is_whole(dy):
        level, tilt = sums(dy, xhat, gain, b, kind=kind, leak=leak)
        return gradient(dy, xhat, gain, b, r, level, tilt, groups=groups, kind=kind, leak=leak), level, tilt
    B, R, C = dy.shape
    dx, level, tilt = empty_like(dy), *(empty((B, C), dy.dtype, like=dy) for _ in range(2))
    arrays = *map(contiguous, (dy, xhat, gain, b, r)), dx, level, tilt
    launch(WHOLE, "normalised_whole_back", (B,), _block(R, C), *arrays, R, C // (groups or C), leak, KIND=KINDS[kind])
    return dx, level, tilt


def _is_whole(x: Array) -> bool:
    B, R, C = x.shape
    return C <= MOST_CHANNELS and (B >= MANY or R * C <= SMALL)


def _block(R: int, C: int) -> tuple[int, int]:
    """C x h threads."""
    return C, min(power_of_two(MOST_THREADS // C + 1) // 2, power_of_two(R))
