"""Two-dimensional convolution and its gradients on a GPU, in CUDA C.

Against the definition: three rungs of kernels, each a file that says what it changes against the one before. `direct.cu` gives
a thread one number of the result; `im2col.cu` writes the windows out for a matrix product; `implicit_*.cu` are matrix products
whose windows are looked up. The engine runs the last, by `rounding.precision`, and the first where there are groups.

Error: |y - exact| <= (K + 1) u sum |a b| for sums of K products, u = 2^-24; tf32 adds 2^-10 sum |a b|, bf16 2^-7.

Legend: N images, H, W input size, C input channels, kh, kw kernel, Ho, Wo output size, M output channels.
"""

from __future__ import annotations

import math

from minigen.backend import Array, Shape, empty

from ..arguments import output
from ..combine import contiguous
from ..cuda.launch import launch
from ..cuda.tiling import run, tiling
from ..epilogue import cuda as epilogue
from ..matmul.cuda import matmul
from ..rounding import PRECISIONS, chosen_precision
from .geometry import Geometry, Pair, geometry

FINISHES = True  # bias and leak (../epilogue)


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
    """x, w -> y = f(conv + bias) (N, Ho, Wo, M), f(u) = u where u >= 0, else leak u; bias (M,) or None."""
    g = geometry(x.shape[1:3], w.shape[:2], stride=stride, padding=padding, dilation=dilation)
    x, w = contiguous(x), contiguous(w)
    y = output(out, (x.shape[0], *g.output, w.shape[3]), x.dtype, like=x)
    sizes = _sizes(g, x.shape, w.shape[3])
    if groups > 1:
        _direct("forward", y.size, x, w, y, *sizes, groups)
        _finish(y, bias, leak)
        return y
    t = tiling(math.prod(y.shape[:3]), w.shape[3], math.prod(w.shape[:3]))
    run(
        "conv2d/implicit_forward.cu",
        "conv2d_implicit_forward",
        t,
        y,
        None if bias is None else contiguous(bias),
        leak,
        False,
        lambda y, bias, slope, _: (x, w, y, bias, *sizes, slope),
        (True, False),
        PRECISION=_precision(),
    )
    return y


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
    """dy (N, Ho, Wo, M), w -> dx = f(conv' + bias) (N, H, W, C), f as in `forward`; bias (C,) or None."""
    g = geometry(x_shape[1:3], w.shape[:2], stride=stride, padding=padding, dilation=dilation)
    dy, w = contiguous(dy), contiguous(w)
    dx = output(out, x_shape, dy.dtype, like=dy)
    sizes = _sizes(g, x_shape, w.shape[3])
    if groups > 1:
        _direct("input_gradient", dx.size, dy, w, dx, *sizes, groups)
        _finish(dx, bias, leak)
        return dx
    phases = g.stride if g.dilation == (1, 1) else (1, 1)  # pixels of equal rest, which meet the same taps
    pixels = x_shape[0] * -(-x_shape[1] // phases[0]) * -(-x_shape[2] // phases[1])
    taps = math.prod(-(-size // step) for size, step in zip(g.kernel, phases, strict=True))
    run(
        "conv2d/implicit_input_gradient.cu",
        "conv2d_implicit_input_gradient",
        tiling(pixels, x_shape[3], taps * w.shape[3], math.prod(phases)),
        dx,
        None if bias is None else contiguous(bias),
        leak,
        False,
        lambda dx, bias, slope, _: (dy, w, dx, bias, *sizes, *phases, slope),
        (True, True),
        PRECISION=_precision(),
    )
    return dx


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
    """x, dy -> dw (kh, kw, C / groups, M), or out += dw."""
    g = geometry(x.shape[1:3], kernel_shape, stride=stride, padding=padding, dilation=dilation)
    x, dy = contiguous(x), contiguous(dy)
    dw = output(out, (*g.kernel, x.shape[3] // groups, dy.shape[3]), x.dtype, like=x)
    sizes = _sizes(g, x.shape, dy.shape[3])
    if groups > 1:
        _direct("weight_gradient", dw.size, x, dy, dw, *sizes, groups, int(accumulate))
        return dw
    t = tiling(math.prod(dw.shape[:3]), dy.shape[3], math.prod(dy.shape[:3]))
    run(
        "conv2d/implicit_weight_gradient.cu",
        "conv2d_implicit_weight_gradient",
        t,
        dw,
        None,
        1.0,
        accumulate,
        lambda dw, bias, slope, accumulate: (x, dy, dw, bias, *sizes, slope, accumulate),
        (False, False),
        PRECISION=_precision(),
    )
    return dw


# ---- the rungs on the way


def direct(
    name: str, first: Array, second: Array, result: Array, g: Geometry, x_shape: Shape, outputs: int, groups: int
) -> Array:
    """The pass `name` ("forward", "input_gradient", "weight_gradient") by direct.cu, into `result`."""
    rest = (0,) if name == "weight_gradient" else ()
    _direct(name, result.size, first, second, result, *_sizes(g, x_shape, outputs), groups, *rest)
    return result


def windows(x: Array, g: Geometry) -> Array:
    """The windows of x (N, H, W, C) as a matrix (N Ho Wo, kh kw C): y = windows w, dw = windows' dy."""
    rows, length = x.shape[0] * math.prod(g.output), math.prod(g.kernel) * x.shape[3]
    made = empty((rows, length), x.dtype, like=x)
    launch("conv2d/im2col.cu", "gather_windows", (_blocks(made.size),), (256,), x, made, *_without_outputs(g, x.shape))
    return made


def im2col(name: str, first: Array, second: Array, result: Array, g: Geometry, x_shape: Shape) -> Array:
    """The pass `name` by im2col.cu and the matrix product, into `result`."""
    if name == "forward":
        matmul(windows(first, g), second.reshape(-1, second.shape[3]), out=result.reshape(-1, result.shape[3]))
    elif name == "weight_gradient":
        matmul(
            windows(first, g), second.reshape(-1, second.shape[3]), transpose_a=True, out=result.reshape(-1, result.shape[3])
        )
    else:
        dwindows = matmul(first.reshape(-1, first.shape[3]), second.reshape(-1, second.shape[3]), transpose_b=True)
        sizes = _without_outputs(g, x_shape)
        launch("conv2d/im2col.cu", "add_windows", (_blocks(result.size),), (256,), dwindows, result, *sizes)
    return result


def _direct(name: str, numbers: int, *arguments: object) -> None:
    launch("conv2d/direct.cu", f"conv2d_direct_{name}", (_blocks(numbers),), (256,), *arguments)


def _finish(y: Array, bias: Array | None, leak: float) -> None:
    """What direct.cu, which is there to be read, leaves to a pass of its own."""
    if bias is not None or leak != 1.0:
        epilogue.finish(y.reshape(-1, y.shape[-1]), bias, leak=leak)


def _blocks(numbers: int) -> int:
    return -(-numbers // 256)


def _precision() -> int:
    return PRECISIONS.index(chosen_precision())


def _sizes(g: Geometry, x_shape: Shape, outputs: int) -> tuple[int, ...]:
    """What every kernel is told of the geometry, in its order."""
    return (*x_shape, *g.kernel, outputs, *g.output, *g.stride, *g.padding, *g.dilation)


def _without_outputs(g: Geometry, x_shape: Shape) -> tuple[int, ...]:
    return (*x_shape, *g.kernel, *g.output, *g.stride, *g.padding, *g.dilation)
