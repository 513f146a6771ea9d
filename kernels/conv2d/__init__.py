"""Two-dimensional convolution, channels last, and its two gradients; a transposed convolution is the input gradient.

Images (N, H, W, C), kernels (kh, kw, C / groups, M), outputs (N, Ho, Wo, M). `stride`, `padding` and `dilation` are one integer
or a pair (vertical, horizontal). The formula, and what a group is, are in `definition.py`, the sizes in `geometry.py`.
"""

from __future__ import annotations

from typing import Any

from minigen.backend import Array, Shape

from .. import arguments, epilogue
from ..dispatch import Ladder
from .geometry import Geometry, Pair, geometry, output_shape

__all__ = ["check_groups", "forward", "input_gradient", "output_shape", "weight_gradient"]

LADDER = Ladder(
    __name__,
    numba="direct",
    numba_from=1 << 16,  # work: multiplications
    between=("loops", "im2col"),
)


def forward(
    x: Array,
    w: Array,
    *,
    stride: int | Pair = 1,
    padding: int | Pair = 0,
    dilation: int | Pair = 1,
    groups: int = 1,
    out: Array | None = None,
    bias: Array | None = None,
    leak: float = 1.0,
) -> Array:
    """x (N, H, W, C), w (kh, kw, C / groups, M) -> y (N, Ho, Wo, M), in `out` if given; with bias (M,) and leak, f(y + bias).

    f is u where u > 0, else leak u (`kernels.epilogue`). Raises ValueError on shapes that do not fit, groups that do not divide
    C and M, or a kernel larger than the padded input; TypeError on mixed precisions.
    """
    arguments.check_ndim("conv2d.forward", 4, x=x, w=w)
    check_groups("conv2d.forward", groups, x.shape[3], w.shape[3])
    if x.shape[3] != groups * w.shape[2]:
        raise ValueError(
            f"conv2d.forward: x {x.shape} has {x.shape[3]} channels, w {w.shape} takes {_taken(w, groups)}: "
            "images are (N, H, W, C) and kernels (kh, kw, C / groups, M)"
        )
    dtype = arguments.same_kind("conv2d.forward", x=x, w=w)
    g = geometry(x.shape[1:3], w.shape[:2], stride=stride, padding=padding, dilation=dilation)
    arguments.check_out("conv2d.forward", out, (x.shape[0], *g.output, w.shape[3]), dtype)
    rung = _rung(g, x, w, w.shape, groups)
    how = {"stride": g.stride, "padding": g.padding, "dilation": g.dilation, "groups": groups, "out": out}
    return epilogue.finished(rung, "conv2d.forward", w.shape[3], bias, leak, x, w, **how)


def input_gradient(
    dy: Array,
    w: Array,
    x_shape: Shape,
    *,
    stride: int | Pair = 1,
    padding: int | Pair = 0,
    dilation: int | Pair = 1,
    groups: int = 1,
    out: Array | None = None,
    bias: Array | None = None,
    leak: float = 1.0,
) -> Array:
    """dy (N, Ho, Wo, M), w (kh, kw, C / groups, M) -> dx (N, H, W, C) = x_shape, in `out` if given.

    With bias (C,) and leak, f(dx + bias): what a transposed convolution is, forward. It raises as `forward` does.
    """
    arguments.check_ndim("conv2d.input_gradient", 4, dy=dy, w=w)
    x_shape = tuple(x_shape)
    if len(x_shape) != 4:
        raise ValueError(f"conv2d.input_gradient: x_shape must be (N, H, W, C), got {x_shape}")
    check_groups("conv2d.input_gradient", groups, x_shape[3], w.shape[3])
    g = geometry(x_shape[1:3], w.shape[:2], stride=stride, padding=padding, dilation=dilation)
    _check_dy("conv2d.input_gradient", dy, (x_shape[0], *g.output, w.shape[3]), x_shape, w.shape)
    if groups * w.shape[2] != x_shape[3]:
        raise ValueError(f"conv2d.input_gradient: w {w.shape} takes {_taken(w, groups)} channels, x_shape is {x_shape}")
    dtype = arguments.same_kind("conv2d.input_gradient", dy=dy, w=w)
    arguments.check_out("conv2d.input_gradient", out, x_shape, dtype)
    rung = _rung(g, dy, w, w.shape, groups)
    how = {"stride": g.stride, "padding": g.padding, "dilation": g.dilation, "groups": groups, "out": out}
    return epilogue.finished(rung, "conv2d.input_gradient", x_shape[3], bias, leak, dy, w, x_shape, **how)


def weight_gradient(
    x: Array,
    dy: Array,
    kernel_shape: Pair,
    *,
    stride: int | Pair = 1,
    padding: int | Pair = 0,
    dilation: int | Pair = 1,
    groups: int = 1,
    out: Array | None = None,
    accumulate: bool = False,
) -> Array:
    """x (N, H, W, C), dy (N, Ho, Wo, M) -> dw (kh, kw, C / groups, M); with `accumulate`, out += dw.

    (kh, kw) is `kernel_shape`. It raises as `forward` does, and ValueError where `accumulate` has no `out` to add to.
    """
    arguments.check_ndim("conv2d.weight_gradient", 4, x=x, dy=dy)
    g = geometry(x.shape[1:3], kernel_shape, stride=stride, padding=padding, dilation=dilation)
    check_groups("conv2d.weight_gradient", groups, x.shape[3], dy.shape[3])
    w_shape = (*g.kernel, x.shape[3] // groups, dy.shape[3])
    _check_dy("conv2d.weight_gradient", dy, (x.shape[0], *g.output, dy.shape[3]), x.shape, w_shape)
    dtype = arguments.same_kind("conv2d.weight_gradient", x=x, dy=dy)
    if accumulate and out is None:
        raise ValueError("conv2d.weight_gradient: accumulate=True adds into out: pass out=")
    arguments.check_out("conv2d.weight_gradient", out, w_shape, dtype)
    rung = _rung(g, x, dy, w_shape, groups, learning=True)
    dw: Array = rung.weight_gradient(
        x,
        dy,
        g.kernel,
        stride=g.stride,
        padding=g.padding,
        dilation=g.dilation,
        groups=groups,
        out=out,
        accumulate=accumulate,
    )
    return dw


def check_groups(operation: str, groups: int, inputs: int, outputs: int) -> None:
    """ValueError unless `groups` divides both counts of channels."""
    if groups < 1 or inputs % groups or outputs % groups:
        raise ValueError(
            f"{operation}: groups={groups} does not divide {inputs} channels in and {outputs} out: groups are of equal size"
        )


def _taken(w: Array, groups: int) -> str:
    return str(w.shape[2]) if groups == 1 else f"{groups} groups of {w.shape[2]}"


def _check_dy(operation: str, dy: Array, expected: Shape, x_shape: Shape, w_shape: Shape) -> None:
    if dy.shape != expected:
        raise ValueError(
            f"{operation}: x {x_shape} and w {w_shape} give an output of {expected}, but dy is {dy.shape}: "
            "pass the x shape, stride, padding and dilation that forward had"
        )


def _rung(g: Geometry, first: Array, second: Array, w_shape: Shape, groups: int, learning: bool = False) -> Any:
    kh, kw, c, m = w_shape  # c of one group
    n = first.shape[0]
    if not LADDER.numba_fits(n * g.output[0] * g.output[1] * kh * kw * c * m, first, second):
        return LADDER.elsewhere(first, second)
    return LADDER.load("winograd" if LADDER.load("winograd").pays(n, g, c, m, groups, learning) else LADDER.numba)
