"""Cases for the layers of flows of images."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..layers.act_norm import ActNorm
from ..layers.bijection import Chain
from ..layers.composite import Sequential
from ..layers.coupling import AffineCoupling
from ..layers.elementwise import Tanh
from ..layers.invertible_conv import InvertibleConv
from ..layers.linear import Linear
from ..layers.logit import Logit
from ..layers.multi_scale import MultiScale
from ..layers.rearrange import Permute
from ..layers.squeeze import Squeeze
from ..random import Key
from .case import Case, Sizes, rows


def _small(s: Sizes) -> Any:
    """(N, 2, 3, a): few enough numbers for the numeric Jacobian."""
    return s.N, 2, 3, 1 + s.a % 7


def _channels(s: Sizes) -> int:
    return _small(s)[-1]


def _pixels(s: Sizes) -> Any:
    return Key(s.seed).at("pixels").uniform((s.N, s.h, 2), np.float64)


def _act_norm(layer: Any, x: Any) -> Any:
    s, b = layer.params["s"], layer.params["b"]
    return x * np.exp(s) + b, np.array([sum(s.sum() for _ in one[..., 0].flat) for one in x])


def _invertible_conv(layer: Any, x: Any) -> Any:
    """W from its definition, and the logarithm of its determinant as NumPy computes it."""
    A, eye = layer.params["A"], np.eye(layer.channels)
    lower = np.where(np.arange(len(A))[:, None] > np.arange(len(A)), A, 0) + eye
    upper = np.where(np.arange(len(A))[:, None] < np.arange(len(A)), A, 0) + eye * layer.state["sign"] * np.exp(A)
    W = layer.state["P"] @ lower @ upper
    return np.einsum("nhwc,cd->nhwd", x, W), np.full(len(x), x[0, ..., 0].size * np.linalg.slogdet(W)[1])


def _logit(layer: Any, x: Any) -> Any:
    p = layer.alpha + (1 - 2 * layer.alpha) * x
    slope = (1 - 2 * layer.alpha) / (p * (1 - p))
    return np.log(p / (1 - p)), np.array([np.log(one).sum() for one in slope])


def _two_levels(store: bool = True) -> MultiScale:
    """4 x 4 x 1 -> 2 x 2 x 2 and 1 x 1 x 8."""

    def level(C: int) -> Chain:
        net = Sequential(Linear(C // 2, 3), Tanh(), Linear(3, C))
        return Chain(Squeeze(), ActNorm(C), InvertibleConv(C), AffineCoupling(net), store=store)

    return MultiScale(level(4), level(8))


FLOW_CASES: tuple[Case, ...] = (
    Case("ActNorm", ActNorm, lambda s: ActNorm(_channels(s)), _small, reference=_act_norm),
    Case("ActNorm of rows", ActNorm, lambda s: ActNorm(s.a), rows),
    Case("InvertibleConv", InvertibleConv, lambda s: InvertibleConv(_channels(s)), _small, reference=_invertible_conv),
    Case("InvertibleConv of rows", InvertibleConv, lambda s: InvertibleConv(s.a), rows),
    Case(
        "ActNorm with computed weights",
        ActNorm,
        lambda s: ActNorm(s.a).compute("s", Tanh()).compute("b", Tanh()),
        lambda s: (s.N, 2, s.a),
    ),
    Case(
        "InvertibleConv with computed weights",
        InvertibleConv,
        lambda s: InvertibleConv(s.a).compute("A", Tanh()),
        lambda s: (s.N, 2, s.a),
    ),
    Case("Permute", Permute, lambda s: Permute([*range(1, s.a), 0]), rows),
    Case("Chain of permutations", Chain, lambda s: Chain(Permute([*range(1, s.a), 0]), Permute(range(s.a)[::-1])), rows),
    Case("Logit", Logit, lambda s: Logit(0.05), _pixels, reference=_logit),
    Case("Logit of the open interval", Logit, lambda s: Logit(0.0), _pixels, skip={"streaming": "0 has no logit"}),
    Case("MultiScale", MultiScale, lambda s: _two_levels(), lambda s: (s.N, 4, 4, 1)),
    Case(
        "MultiScale of rows",
        MultiScale,
        lambda s: MultiScale(InvertibleConv(9), ActNorm(5), InvertibleConv(3)),
        lambda s: (s.N, 9),
    ),
    Case("MultiScale that stores nothing", MultiScale, lambda s: _two_levels(store=False), lambda s: (s.N, 4, 4, 1)),
)
