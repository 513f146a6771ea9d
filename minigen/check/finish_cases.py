"""Cases for layers with an activation behind them: each equals the layer and the activation, one after the other."""

from __future__ import annotations

from typing import Any

from ..backend import Array
from ..layers.batch_norm import BatchNorm
from ..layers.conv1d import Conv1d
from ..layers.conv2d import Conv2d, ConvTranspose2d
from ..layers.elementwise import LeakyReLU, ReLU, SiLU, Tanh
from ..layers.group_norm import GroupNorm
from ..layers.linear import Linear
from ..layers.masked_conv2d import MaskedConv2d, raster
from . import plain
from .case import Case, image, rows, sequence


def and_then(layer: Any, u: Array) -> Array:
    """f(u), by a layer of its own."""
    y: Array = layer.activation.forward(u)[0]
    return y


FINISH_CASES: tuple[Case, ...] = (
    Case(
        "Linear and a leak that turns the sign",
        Linear,
        lambda s: Linear(s.a, s.b, activation=LeakyReLU(-0.5)),
        rows,
        reference=lambda l, x: and_then(l, x @ l.params["W"] + l.params["b"]),
    ),
    Case(
        "Linear and ReLU",
        Linear,
        lambda s: Linear(s.a, s.b, activation=ReLU()),
        rows,
        reference=lambda l, x: and_then(l, x @ l.params["W"] + l.params["b"]),
    ),
    Case(
        "Linear and Tanh",
        Linear,
        lambda s: Linear(s.a, s.b, bias=False, activation=Tanh()),
        sequence,
        reference=lambda l, x: and_then(l, x @ l.params["W"]),
    ),
    Case(
        "Conv2d and LeakyReLU",
        Conv2d,
        lambda s: Conv2d(s.a, s.b, 3, padding="same", activation=LeakyReLU(0.2)),
        image,
        reference=lambda l, x: and_then(l, plain.conv2d(l, x)),
    ),
    Case(
        "Conv2d with computed weights and SiLU",
        Conv2d,
        lambda s: Conv2d(s.a, s.b, 1, activation=SiLU()).compute("W", Tanh()).compute("b", Tanh()),
        image,
    ),
    Case("ConvTranspose2d and ReLU", ConvTranspose2d, lambda s: ConvTranspose2d(s.a, s.b, 2, activation=ReLU()), image),
    Case(
        "Conv1d and LeakyReLU",
        Conv1d,
        lambda s: Conv1d(s.a, s.b, 2, causal=True, activation=LeakyReLU(0.1)),
        sequence,
        reference=lambda l, x: and_then(l, plain.conv1d(l, x)),
    ),
    Case("MaskedConv2d and ReLU", MaskedConv2d, lambda s: MaskedConv2d(s.a, s.b, raster("B", 3), activation=ReLU()), image),
    Case(
        "BatchNorm and LeakyReLU",
        BatchNorm,
        lambda s: BatchNorm(s.a, activation=LeakyReLU(0.2)),
        image,
        reference=lambda l, x: and_then(l, plain.batch_norm(l, x)),
        committed=plain.running,
    ),
    Case("BatchNorm of rows and ReLU", BatchNorm, lambda s: BatchNorm(s.a, activation=ReLU()), lambda s: (s.N + 2, s.a)),
    Case(
        "GroupNorm and LeakyReLU",
        GroupNorm,
        lambda s: GroupNorm(2, 2 * s.a, activation=LeakyReLU(0.2)),
        lambda s: (s.N, s.h + 1, s.w, 2 * s.a),
    ),
    Case(
        "GroupNorm and SiLU",
        GroupNorm,
        lambda s: GroupNorm(2, 2 * s.a, activation=SiLU()),
        lambda s: (s.N, s.h + 1, s.w, 2 * s.a),
        reference=lambda l, x: and_then(l, plain.group_norm(l, x)),
    ),
)
