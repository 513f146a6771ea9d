"""Activation functions in one pass. The formulas are in `definition.py`.

Against the definition: NumPy makes an array of every step of a formula, up to eight of them for the gradient of a SiLU, and
each is a pass over memory. Here a number is read, all is done to it in registers, and it is written once. At a few numbers
moved for each function, memory is the bound, and the functions are free as long as they are vector instructions
(vector_math.py).

Error: of each number within 8 units in the last place; where factors cancel (the slope of tanh far from zero, that of SiLU near
x = -1.28), within 4e-7 of 1.

Legend: n numbers, flat.
"""

from __future__ import annotations

from typing import Any

from numba import prange

from minigen.backend import Array, empty_like

from ..combine import contiguous
from ..jit import CompiledTwice
from ..vector_math import sigmoid, softplus, tanh


def forward(kind: str, x: Array, *, leak: float = 0.0, out: Array | None = None) -> Array:
    """f(x)."""
    y = empty_like(x) if out is None else out
    FORWARD[kind].of(x.size)(contiguous(x).reshape(-1), y.reshape(-1), x.dtype.type(leak))
    return y


def gradient(kind: str, dy: Array, x: Array, *, leak: float = 0.0, out: Array | None = None) -> Array:
    """dy f'(x)."""
    dx = empty_like(x) if out is None else out
    GRADIENT[kind].of(x.size)(contiguous(dy).reshape(-1), contiguous(x).reshape(-1), dx.reshape(-1), x.dtype.type(leak))
    return dx


@CompiledTwice
def leaky(x: Array, y: Array, leak: Any) -> None:
    """x, below zero leak x."""
    for i in prange(x.shape[0]):
        y[i] = x[i] if x[i] > 0 else leak * x[i]


@CompiledTwice
def leaky_gradient(dy: Array, x: Array, dx: Array, leak: Any) -> None:
    """dy, below zero leak dy."""
    for i in prange(x.shape[0]):
        dx[i] = dy[i] if x[i] > 0 else leak * dy[i]


@CompiledTwice
def hyperbolic(x: Array, y: Array, leak: Any) -> None:
    """tanh x."""
    for i in prange(x.shape[0]):
        y[i] = tanh(x[i])


@CompiledTwice
def hyperbolic_gradient(dy: Array, x: Array, dx: Array, leak: Any) -> None:
    """dy (1 - tanh^2 x)."""
    for i in prange(x.shape[0]):
        y = tanh(x[i])
        dx[i] = dy[i] - dy[i] * y * y


@CompiledTwice
def logistic(x: Array, y: Array, leak: Any) -> None:
    """s."""
    for i in prange(x.shape[0]):
        y[i] = sigmoid(x[i])


@CompiledTwice
def logistic_gradient(dy: Array, x: Array, dx: Array, leak: Any) -> None:
    """dy s (1 - s), and 1 - s is the sigmoid of -x."""
    for i in prange(x.shape[0]):
        dx[i] = dy[i] * sigmoid(x[i]) * sigmoid(-x[i])


@CompiledTwice
def silu(x: Array, y: Array, leak: Any) -> None:
    """x s."""
    for i in prange(x.shape[0]):
        y[i] = x[i] * sigmoid(x[i])


@CompiledTwice
def silu_gradient(dy: Array, x: Array, dx: Array, leak: Any) -> None:
    """dy (s + x s (1 - s)); 1 - s is the sigmoid of -x, which a difference would lose where x is large."""
    for i in prange(x.shape[0]):
        s = sigmoid(x[i])
        dx[i] = dy[i] * (s + x[i] * s * sigmoid(-x[i]))


@CompiledTwice
def soft(x: Array, y: Array, leak: Any) -> None:
    """log(1 + e^x)."""
    for i in prange(x.shape[0]):
        y[i] = softplus(x[i])


@CompiledTwice
def soft_gradient(dy: Array, x: Array, dx: Array, leak: Any) -> None:
    """dy s."""
    for i in prange(x.shape[0]):
        dx[i] = dy[i] * sigmoid(x[i])


FORWARD: dict[str, CompiledTwice] = {
    "leaky": leaky,
    "tanh": hyperbolic,
    "sigmoid": logistic,
    "silu": silu,
    "softplus": soft,
}
GRADIENT: dict[str, CompiledTwice] = {
    "leaky": leaky_gradient,
    "tanh": hyperbolic_gradient,
    "sigmoid": logistic_gradient,
    "silu": silu_gradient,
    "softplus": soft_gradient,
}
