"""Conv2d and ConvTranspose2d: Linear's four passes, with three other products.

A convolution is linear in x and in W. Three products are all there is to it, each the transpose of another:

    y  = conv(x, W)         forward              y_pm  = sum over taps, c   x_[p + tap]c W_[tap]cm
    dx = conv'(dy, W)       input gradient       dx_[p + tap]c += sum_m     dy_pm W_[tap]cm
    dW = corr(x, dy)        weight gradient      dW_[tap]cm = sum over n, p x_[p + tap]c dy_pm

The transposed convolution goes forward by the second, back by the first, and learns by the third with its arguments exchanged:
a layer of its own, and no kernel of its own. What `p + tap` is with stride, padding and dilation, and what groups are:
kernels/conv2d.

N batch, H, W sizes in, Ho, Wo sizes out, kh, kw kernel, C inputs, M outputs, G groups; p a pixel of the smaller image.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

from ..backend import Array, Shape
from ..kernels import conv2d
from ..kernels.conv2d.geometry import Pair, pair
from ..kernels.sums import over_rows
from ..random import Key
from .elementwise import Elementwise
from .finish import back, finished, rows
from .initialisers import fan_in_uniform, side_by_side, zeros
from .layer import Layer, Weights
from .vector import Initialiser, Spec


class ConvCache(NamedTuple):
    x: Array  # (N, H, W, C)
    w: Weights | None  # W (kh, kw, C / G, M) or, transposed, (kh, kw, M / G, C); b (M,)
    u: Any  # (N, Ho, Wo, M): with an activation, what the way back needs (finish.py)


class Convolution(Layer):
    """What both have in common: the four passes of y = f(product(x, W) + b), from the three products."""

    takes_still = True

    def __init__(
        self, inputs: int, outputs: int, W: Spec, bias: bool, activation: Elementwise | None = None, **at: int | Pair
    ) -> None:
        specs = {"W": W}
        if bias:
            specs["b"] = Spec((outputs,), zeros)
        super().__init__(**specs)
        self.inputs, self.outputs, self.bias, self.activation = inputs, outputs, bias, activation
        self.at: dict[str, Any] = at  # stride, padding, dilation and groups, for the kernels

    def product(self, x: Array, W: Array, **finish: Any) -> Array:
        """A new array (N, Ho, Wo, M): y as `finish` (bias, leak) says, without it y before its bias."""
        raise NotImplementedError

    def product_dx(self, dy: Array, W: Array, x_shape: Shape) -> Array:
        """dx (N, H, W, C)."""
        raise NotImplementedError

    def product_dW(self, x: Array, dy: Array, **into: Any) -> Array:
        """dW, in `out` if given, or with accumulate=True out += dW."""
        raise NotImplementedError

    def forward(self, x: Array, *, train: bool = False, key: Key | None = None) -> tuple[Array, ConvCache]:
        if x.ndim != 4 or x.shape[3] != self.inputs:
            raise ValueError(
                f"{type(self).__name__}({self.inputs}, {self.outputs}) got x of shape {x.shape}: it takes images of "
                f"(N, H, W, {self.inputs}), channels last"
            )
        w = self.weights()
        y, u = finished(self.product, x, w.W, w.b if self.bias else None, self.activation)  # (N, Ho, Wo, M)
        return y, ConvCache(x, w, u)

    def backward(self, dy: Array, cache: ConvCache, *, need_dx: bool = True, param_grads: bool = True) -> Array | None:
        w, x, learns = self.weights(cache), cache.x, param_grads and self.learns
        du, db = back(dy, cache.u, self.activation, biased=learns and self.bias)  # (N, Ho, Wo, M), (M,)
        if learns:
            self.learn(w, W=lambda **into: self.product_dW(x, du, **into))
            if db is not None:
                self.learn(w, b=db)
        return self.product_dx(du, w.W, x.shape) if need_dx else None

    def jvp(self, x_dot: Array, cache: ConvCache, *, move_params: bool = False) -> tuple[Array, ConvCache]:
        w = self.weights(cache)
        w_dot = self.weights_dot(w, move_params)
        u_dot = self.product(x_dot, w.W)
        if w_dot:
            u_dot += self.product(cache.x, w_dot.W)
            if self.bias:
                u_dot += w_dot.b
        if self.activation is None:
            return u_dot, ConvCache(x_dot, w_dot, None)
        return self.activation.through(u_dot, cache.u), ConvCache(x_dot, w_dot, u_dot)

    def backward_jvp(
        self,
        dy: Array,
        dy_dot: Array | None,
        cache: ConvCache,
        tangents: ConvCache,
        *,
        need_dx: bool = True,
        param_grads: bool = True,
    ) -> tuple[Array | None, Array | None]:
        w, w_dot, x = self.weights(cache), tangents.w, cache.x
        if self.activation is not None:
            dy, dy_dot = (
                self.activation.through(dy, cache.u),
                self.activation.through_dot(dy, dy_dot, cache.u, tangents.u),
            )  # du and du_dot
        if param_grads and self.learns:
            dW_dot = self.product_dW(tangents.x, dy)
            if dy_dot is not None:
                self.product_dW(x, dy_dot, out=dW_dot, accumulate=True)
            self.learn_dot(w, w_dot, W=(lambda: self.product_dW(x, dy), dW_dot))
            if self.bias:
                db_dot = None if dy_dot is None else partial(over_rows, rows(dy_dot))
                self.learn_dot(w, w_dot, b=(partial(over_rows, rows(dy)), db_dot))
        if not need_dx:
            return None, None
        dx_dot = None if dy_dot is None else self.product_dx(dy_dot, w.W, x.shape)
        if w_dot:
            moved = self.product_dx(dy, w_dot.W, x.shape)
            dx_dot = moved if dx_dot is None else dx_dot + moved
        return self.product_dx(dy, w.W, x.shape), dx_dot


class Conv2d(Convolution):
    """(N, H, W, inputs) -> (N, Ho, Wo, outputs), with W (kh, kw, inputs / groups, outputs) and Ho as in PyTorch:

        Ho = (H + 2 padding - dilation (kh - 1) - 1) // stride + 1

    A cross-correlation, as in every deep learning library: the kernel is not turned around. `kernel`, `stride`, `padding` and
    `dilation` are one integer or a pair (vertical, horizontal). `padding="same"` keeps H and W: for odd kernels at stride 1.
    With `groups`, the channels are cut into so many runs, and every run of outputs sees its own run of inputs alone; as many
    groups as inputs filter each channel by itself (depthwise). `activation` is applied to y, with one pass over memory less
    each way than a layer of its own. Raises ValueError where groups does not divide both counts, and where x is not
    (N, H, W, inputs), or smaller than the kernel with its padding.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int | Pair = 3,
        *,
        stride: int | Pair = 1,
        padding: int | Pair | str = 0,
        dilation: int | Pair = 1,
        groups: int = 1,
        bias: bool = True,
        activation: Elementwise | None = None,
        initialiser: Initialiser = fan_in_uniform,
    ) -> None:
        self.kernel, stride, dilation = pair("kernel", kernel, 1), pair("stride", stride, 1), pair("dilation", dilation, 1)
        padding = _same(self.kernel, stride, dilation, padding) if isinstance(padding, str) else pair("padding", padding, 0)
        conv2d.check_groups("Conv2d", groups, inputs, outputs)
        W = Spec((*self.kernel, inputs // groups, outputs), side_by_side(initialiser, groups))
        super().__init__(inputs, outputs, W, bias, activation, stride=stride, padding=padding, dilation=dilation, groups=groups)

    def product(self, x: Array, W: Array, **finish: Any) -> Array:
        return conv2d.forward(x, W, **self.at, **finish)

    def product_dx(self, dy: Array, W: Array, x_shape: Shape) -> Array:
        return conv2d.input_gradient(dy, W, x_shape, **self.at)

    def product_dW(self, x: Array, dy: Array, **into: Any) -> Array:
        return conv2d.weight_gradient(x, dy, self.kernel, **self.at, **into)


class ConvTranspose2d(Convolution):
    """(N, H, W, inputs) -> (N, Ho, Wo, outputs), the input gradient of a convolution used forward (Zeiler et al. 2010):

        Ho = (H - 1) stride - 2 padding + dilation (kh - 1) + 1 + output_padding

    With stride 2, kernel 4 and padding 1 an image doubles in height and width, and every pixel of y gets as many terms as the
    others. `output_padding`, smaller than stride, chooses among the sizes that the convolution would bring back to H.

    W is (kh, kw, outputs / groups, inputs), the kernel of that convolution, which goes from y to x: so no product needs a copy
    of it. The first W therefore draws with fan-in kh kw outputs / groups, as PyTorch does. `groups` as in Conv2d. Raises
    ValueError where groups does not divide inputs and outputs, and where x is not (N, H, W, inputs).
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int | Pair = 4,
        *,
        stride: int | Pair = 1,
        padding: int | Pair = 0,
        output_padding: int | Pair = 0,
        dilation: int | Pair = 1,
        groups: int = 1,
        bias: bool = True,
        activation: Elementwise | None = None,
        initialiser: Initialiser = fan_in_uniform,
    ) -> None:
        self.kernel, stride, dilation = pair("kernel", kernel, 1), pair("stride", stride, 1), pair("dilation", dilation, 1)
        padding, self.output_padding = pair("padding", padding, 0), pair("output_padding", output_padding, 0)
        if any(extra >= s for extra, s in zip(self.output_padding, stride, strict=True)):
            raise ValueError(f"ConvTranspose2d: output_padding {self.output_padding} must be smaller than stride {stride}")
        conv2d.check_groups("ConvTranspose2d", groups, inputs, outputs)
        W = Spec((*self.kernel, outputs // groups, inputs), side_by_side(initialiser, groups))
        super().__init__(inputs, outputs, W, bias, activation, stride=stride, padding=padding, dilation=dilation, groups=groups)

    def product(self, x: Array, W: Array, **finish: Any) -> Array:
        return conv2d.input_gradient(x, W, self._y_shape(x), **self.at, **finish)

    def product_dx(self, dy: Array, W: Array, x_shape: Shape) -> Array:
        return conv2d.forward(dy, W, **self.at)

    def product_dW(self, x: Array, dy: Array, **into: Any) -> Array:
        return conv2d.weight_gradient(dy, x, self.kernel, **self.at, **into)

    def _y_shape(self, x: Array) -> Shape:
        sizes = []
        for axis in range(2):
            stride, padding, dilation = (self.at[name][axis] for name in ("stride", "padding", "dilation"))
            reach = dilation * (self.kernel[axis] - 1) + 1  # pixels of y that one pixel of x meets
            sizes.append((x.shape[axis + 1] - 1) * stride - 2 * padding + reach + self.output_padding[axis])
        if min(sizes) < 1:
            raise ValueError(f"ConvTranspose2d: x of shape {x.shape} gives y of {tuple(sizes)} pixels: padding is too large")
        return x.shape[0], *sizes, self.outputs


def _same(kernel: Pair, stride: Pair, dilation: Pair, padding: str) -> Pair:
    """The padding that keeps H and W."""
    if padding != "same":
        raise ValueError(f"Conv2d: padding is a number, a pair, or 'same', not {padding!r}")
    if stride != (1, 1) or kernel[0] % 2 == 0 or kernel[1] % 2 == 0:
        raise ValueError(f"Conv2d: padding='same' needs an odd kernel and stride 1, got kernel {kernel}, stride {stride}")
    return dilation[0] * (kernel[0] - 1) // 2, dilation[1] * (kernel[1] - 1) // 2
