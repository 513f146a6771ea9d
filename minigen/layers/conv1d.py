"""Conv1d: a convolution over time, as one over images of height 1; causal ones look back only, and stream.

    y_t = b + sum_i x_(t stride + i dilation - padding) W_i,     i = 0 .. k-1,  x zero outside the sequence

A causal one has all its padding in front, R = (k - 1) dilation zeros, so that y_t depends on x_s for s <= t alone:

    y_t = b + sum_i x_(t - R + i dilation) W_i

Sampling needs one position at a time: `advance` keeps the last R + 1 inputs in a ring, position t at place t mod (R + 1). A
fresh ring holds zeros, the padding.

N batch, T positions, C inputs, M outputs, k kernel.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from ..backend import Array, Shape, resident, zeros
from ..kernels import conv2d
from ..kernels.combine import concatenate
from ..kernels.conv2d.geometry import Pair
from ..random import Key
from .conv2d import ConvCache, Convolution
from .elementwise import Elementwise
from .initialisers import fan_in_uniform, side_by_side
from .tree import map_tree
from .vector import Initialiser, Spec


class Ring:
    """The memory of a stream: the last inputs, each in the place of the oldest."""

    def __init__(self, last: Array) -> None:
        self.last, self.t = last, 0  # (R + 1, N, C), the position that comes next


class Conv1d(Convolution):
    """(N, T, inputs) -> (N, To, outputs), To = (T + 2 padding - dilation (kernel - 1) - 1) // stride + 1.

    W is (kernel, inputs / groups, outputs), `groups` as in Conv2d. `causal=True` sets the padding itself, in front only: at
    stride 1, To = T, and the layer streams. Raises ValueError where x is not (N, T, inputs) or shorter than the kernel, where
    causal comes with a padding, and where groups does not divide inputs and outputs.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int = 3,
        *,
        stride: int = 1,
        padding: int = 0,
        dilation: int = 1,
        causal: bool = False,
        groups: int = 1,
        bias: bool = True,
        activation: Elementwise | None = None,
        initialiser: Initialiser = fan_in_uniform,
    ) -> None:
        if causal and padding:
            raise ValueError(f"Conv1d: causal=True pads in front by itself: leave padding={padding} out")
        conv2d.check_groups("Conv1d", groups, inputs, outputs)
        W = Spec((kernel, inputs // groups, outputs), side_by_side(initialiser, groups))
        at: dict[str, Pair] = {"stride": (1, stride), "padding": (0, padding), "dilation": (1, dilation)}
        super().__init__(inputs, outputs, W, bias, activation, **at, groups=groups)
        self.kernel, self.dilation, self.causal = kernel, dilation, causal
        self.stride, self.reach = stride, (kernel - 1) * dilation

    # ---- the three products, with a height of 1

    def product(self, x: Array, W: Array, **finish: Any) -> Array:
        return conv2d.forward(self._framed(x), W[None], **self.at, **finish)

    def product_dx(self, dy: Array, W: Array, x_shape: Shape) -> Array:
        N, _, T, C = x_shape
        front = self.reach if self.causal else 0
        return conv2d.input_gradient(dy, W[None], (N, 1, front + T, C), **self.at)[:, :, front:]

    def product_dW(self, x: Array, dy: Array, **into: Any) -> Array:
        if into:
            into["out"] = into["out"][None]
        return conv2d.weight_gradient(self._framed(x), dy, (1, self.kernel), **self.at, **into)[0]

    def _framed(self, x: Array) -> Array:
        """x (N, 1, T, C); a causal layer's with R zeros in front."""
        if not self.causal:
            return x
        return concatenate((resident(_zeros(len(x), self.reach, x.shape[3], x.dtype), x), x), 2)

    # ---- the four passes, with a height of 1

    def forward(self, x: Array, *, train: bool = False, key: Key | None = None) -> tuple[Array, ConvCache]:
        shortest = 1 if self.causal else self.reach + 1 - 2 * self.at["padding"][1]
        if x.ndim != 3 or x.shape[2] != self.inputs or x.shape[1] < shortest:
            raise ValueError(
                f"Conv1d({self.inputs}, {self.outputs}, {self.kernel}) got x of shape {x.shape}: it takes sequences of "
                f"(N, T, {self.inputs}), T at least {max(1, shortest)}"
            )
        y, cache = super().forward(x[:, None], train=train, key=key)
        return y[:, 0], cache

    def backward(self, dy: Array, cache: ConvCache, *, need_dx: bool = True, param_grads: bool = True) -> Array | None:
        dx = super().backward(dy[:, None], cache, need_dx=need_dx, param_grads=param_grads)
        return map_tree(lambda d: d[:, 0], dx)

    def jvp(self, x_dot: Array, cache: ConvCache, *, move_params: bool = False) -> tuple[Array, ConvCache]:
        y_dot, tangents = super().jvp(x_dot[:, None], cache, move_params=move_params)
        return y_dot[:, 0], tangents

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
        options = {"need_dx": need_dx, "param_grads": param_grads}
        dy_dot = None if dy_dot is None else dy_dot[:, None]
        both = super().backward_jvp(dy[:, None], dy_dot, cache, tangents, **options)
        return map_tree(lambda d: d[:, 0], both)

    # ---- one position at a time

    def stream(self, batch: int, width: int | None = None) -> Any:
        if not self.causal or self.stride != 1 or width is not None:
            return super().stream(batch)  # which refuses
        W = self.params["W"]
        return Ring(zeros((self.reach + 1, batch, self.inputs), W.dtype, like=W))

    def advance(self, x_t: Array, memory: Any) -> Array:
        w, last, length = self.weights(), memory.last, self.reach + 1
        last[memory.t % length] = x_t
        seen = [last[(memory.t - self.reach + i * self.dilation) % length] for i in range(self.kernel)]  # k of (N, C)
        memory.t += 1
        if (groups := self.at["groups"]) > 1:
            y_t = conv2d.forward(np.stack(seen, 1)[:, None], w.W[None], groups=groups)[:, 0, 0]
        else:
            y_t = sum(x @ w.W[i] for i, x in enumerate(seen))
        u_t = y_t + w.b if self.bias else y_t
        return u_t if self.activation is None else self.activation.f(u_t)


@cache
def _zeros(N: int, T: int, C: int, dtype: np.dtype[Any]) -> Array:
    """What a causal convolution sees before the first time: (N, 1, T, C)."""
    return np.zeros((N, 1, T, C), dtype)
