"""Convolution by a list of taps, channels last, and its two gradients: the pixels a kernel looks at, and no others.

Images (N, H, W, C), taps ((row, column), ...) counted from the pixel itself, weights (L, C, M), one matrix a tap, outputs
(N, H, W, M). A mask is a shorter list: what it hides is neither stored nor multiplied. The formula is in `definition.py`.
"""

from __future__ import annotations

from typing import Any

from minigen.backend import Array

from .. import arguments, epilogue
from ..dispatch import Ladder
from .definition import Taps

__all__ = ["Taps", "forward", "input_gradient", "weight_gradient"]

LADDER = Ladder(__name__, numba="gathered", numba_from=1 << 16)  # work: multiplications


def forward(x: Array, w: Array, taps: Taps, *, out: Array | None = None, bias: Array | None = None, leak: float = 1.0) -> Array:
    """x (N, H, W, C), w (L, C, M) -> y (N, H, W, M), in `out` if given; with bias (M,) and leak, f(y + bias).

    f is u where u > 0, else leak u (`kernels.epilogue`). Raises ValueError on shapes that do not fit, TypeError on mixed
    precisions.
    """
    arguments.check_ndim("masked_conv2d.forward", 4, x=x)
    _check_weights("masked_conv2d.forward", w, taps, x=x, channels=1)
    dtype = arguments.same_kind("masked_conv2d.forward", x=x, w=w)
    arguments.check_out("masked_conv2d.forward", out, (*x.shape[:3], w.shape[2]), dtype)
    return epilogue.finished(_rung(x, w), "masked_conv2d.forward", w.shape[2], bias, leak, x, w, taps, out=out)


def input_gradient(dy: Array, w: Array, taps: Taps, *, out: Array | None = None) -> Array:
    """dy (N, H, W, M), w (L, C, M) -> dx (N, H, W, C), in `out` if given. It raises as `forward` does."""
    arguments.check_ndim("masked_conv2d.input_gradient", 4, dy=dy)
    _check_weights("masked_conv2d.input_gradient", w, taps, dy=dy, channels=2)
    dtype = arguments.same_kind("masked_conv2d.input_gradient", dy=dy, w=w)
    arguments.check_out("masked_conv2d.input_gradient", out, (*dy.shape[:3], w.shape[1]), dtype)
    dx: Array = _rung(dy, w).input_gradient(dy, w, taps, out=out)
    return dx


def weight_gradient(x: Array, dy: Array, taps: Taps, *, out: Array | None = None, accumulate: bool = False) -> Array:
    """x (N, H, W, C), dy (N, H, W, M) -> dw (L, C, M); with `accumulate`, out += dw.

    It raises as `forward` does, and ValueError where `accumulate` has no `out` to add to.
    """
    arguments.check_ndim("masked_conv2d.weight_gradient", 4, x=x, dy=dy)
    if x.shape[:3] != dy.shape[:3]:
        raise ValueError(f"masked_conv2d.weight_gradient: x {x.shape} and dy {dy.shape} must agree in all axes but the last")
    dtype = arguments.same_kind("masked_conv2d.weight_gradient", x=x, dy=dy)
    if accumulate and out is None:
        raise ValueError("masked_conv2d.weight_gradient: accumulate=True adds into out: pass out=")
    arguments.check_out("masked_conv2d.weight_gradient", out, (len(taps), x.shape[3], dy.shape[3]), dtype)
    rung = LADDER.choose(x.size * dy.shape[3] * len(taps), x, dy)
    dw: Array = rung.weight_gradient(x, dy, taps, out=out, accumulate=accumulate)
    return dw


def _check_weights(operation: str, w: Array, taps: Taps, *, channels: int, **images: Array) -> None:
    """ValueError unless w (L, C, M) has a matrix for every tap and the channels of the images along its axis `channels`."""
    ((name, image),) = images.items()
    if w.ndim != 3 or len(w) != len(taps) or w.shape[channels] != image.shape[3]:
        raise ValueError(
            f"{operation}: {name} {image.shape} and w {w.shape} with {len(taps)} taps do not fit: images are (N, H, W, "
            f"channels), weights (taps, C, M)"
        )


def _rung(image: Array, w: Array) -> Any:
    return LADDER.choose(image.size // max(1, image.shape[3]) * w.size, image, w)
