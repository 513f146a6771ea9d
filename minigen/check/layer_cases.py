"""Cases for the layers that know nothing of pixels: dense, activations, normalisations, weights, wiring."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..layers.activations import ELU, GELU, SELU, Mish, Softsign
from ..layers.attention import MultiHeadAttention, ScaledDotProduct
from ..layers.batch_norm import BatchNorm
from ..layers.bijection import Chain
from ..layers.combine import Concatenate, Split, Sum
from ..layers.composite import Residual, Sequential
from ..layers.conv2d import Conv2d
from ..layers.dropout import Dropout
from ..layers.elementwise import Elementwise, LeakyReLU, ReLU, Sigmoid, SiLU, Softplus, Tanh
from ..layers.embedding import Embedding, Unembedding
from ..layers.equalised import EqualisedRate
from ..layers.group_norm import GroupNorm, InstanceNorm
from ..layers.inner_product import InnerProduct
from ..layers.layer_norm import LayerNorm
from ..layers.linear import Linear
from ..layers.minibatch import MinibatchDiscrimination, MinibatchStd
from ..layers.shape import Flatten, Reshape
from ..layers.softmax import Softmax
from ..layers.spectral_norm import SpectralNorm
from ..layers.weight_norm import WeightNorm
from ..random import Key
from . import plain
from .case import Case, image, rows, sequence
from .examples import Braid, Careless, Centred, Drift, Standing, Warp


def _activation(cls: type[Elementwise], f: Callable[[Any], Any]) -> Case:
    return Case(cls.__name__, cls, lambda s: cls(), rows, reference=lambda _, x: f(x))


_BRAID = lambda s: ((s.N, s.T, s.a), (s.N, s.T, s.a), s.ids((s.N, s.T), s.c + 1))
_WEIGHT = {"batch": "its input is a weight, not a batch", "empty batch": "its input is a weight, not a batch"}

LAYER_CASES: tuple[Case, ...] = (
    Case("Composite", Braid, lambda s: Braid(s.a, s.b, s.c + 1), _BRAID),
    Case("careless Composite", Careless, lambda s: Careless(s.a), rows, {"spared work": "that is what is careless in it"}),
    Case("Linear", Linear, lambda s: Linear(s.a, s.b), rows, reference=lambda l, x: x @ l.params["W"] + l.params["b"]),
    Case("Linear with computed weights", Linear, lambda s: Linear(s.a, s.b).compute("W", Tanh()).compute("b", Tanh()), rows),
    Case("Linear without bias", Linear, lambda s: Linear(s.a, s.b, bias=False), sequence),
    _activation(ReLU, lambda x: np.maximum(x, 0)),
    _activation(LeakyReLU, lambda x: np.where(x > 0, x, 0.2 * x)),
    _activation(Tanh, lambda x: (np.exp(x) - np.exp(-x)) / (np.exp(x) + np.exp(-x))),
    _activation(Sigmoid, lambda x: 1 / (1 + np.exp(-x))),
    _activation(SiLU, lambda x: x / (1 + np.exp(-x))),
    _activation(Softplus, lambda x: np.log(1 + np.exp(x))),
    _activation(GELU, lambda x: x * np.vectorize(math.erfc)(-x / math.sqrt(2)) / 2),
    _activation(ELU, lambda x: np.where(x > 0, x, np.exp(x) - 1)),
    _activation(SELU, lambda x: 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * (np.exp(x) - 1))),
    _activation(Softsign, lambda x: x / (1 + np.abs(x))),
    _activation(Mish, lambda x: x * np.tanh(np.log(1 + np.exp(x)))),
    Case("Softmax", Softmax, lambda s: Softmax(), sequence, reference=plain.softmax),
    Case("Dropout", Dropout, lambda s: Dropout(0.3), sequence, reference=plain.same, trained=plain.dropped),
    Case("LayerNorm", LayerNorm, lambda s: LayerNorm(s.a + 1), lambda s: (s.N, s.T, s.a + 1), reference=plain.layer_norm),
    Case(
        "BatchNorm",
        BatchNorm,
        lambda s: BatchNorm(s.a),
        image,
        reference=plain.batch_norm,
        trained=plain.by_batch,
        committed=plain.running,
    ),
    Case(
        "BatchNorm of rows",
        BatchNorm,
        lambda s: BatchNorm(s.a),
        lambda s: (s.N + 2, s.a),
        reference=plain.batch_norm,
        trained=plain.by_batch,
        committed=plain.running,
    ),
    Case(
        "Embedding",
        Embedding,
        lambda s: Embedding(s.b + 1, s.a),
        lambda s: s.ids((s.N, s.T), s.b + 1),
        reference=lambda l, x: l.params["E"][x],
    ),
    Case(
        "Embedding with computed weights",
        Embedding,
        lambda s: Embedding(s.b + 1, s.a).compute("E", Tanh()),
        lambda s: s.ids((s.N, s.T), s.b + 1),
    ),
    Case(
        "Unembedding",
        Unembedding,
        lambda s: Unembedding(Embedding(s.b, s.a)),
        sequence,
        reference=lambda l, x: x @ l.params["E"].T,
    ),
    Case(
        "Unembedding with computed weights",
        Unembedding,
        lambda s: Unembedding(Embedding(s.b, s.a)).compute("E", Tanh()),
        sequence,
    ),
    Case(
        "LayerNorm with computed weights",
        LayerNorm,
        lambda s: LayerNorm(s.a).compute("gain", Tanh()).compute("b", Tanh()),
        sequence,
    ),
    Case(
        "BatchNorm with computed weights",
        BatchNorm,
        lambda s: BatchNorm(s.a).compute("gain", Tanh()).compute("b", Tanh()),
        image,
    ),
    Case("BatchNorm with a drifting gain", BatchNorm, lambda s: BatchNorm(s.a).compute("gain", Drift()), image),
    Case(
        "GroupNorm",
        GroupNorm,
        lambda s: GroupNorm(2, 2 * s.a),
        lambda s: (s.N, s.h + 1, s.w, 2 * s.a),
        reference=plain.group_norm,
    ),
    Case(
        "GroupNorm with computed weights",
        GroupNorm,
        lambda s: GroupNorm(1, s.a).compute("gain", Tanh()).compute("b", Tanh()),
        image,
    ),
    Case("InstanceNorm", InstanceNorm, lambda s: InstanceNorm(s.a), image, reference=plain.group_norm),
    Case("MinibatchStd", MinibatchStd, lambda s: MinibatchStd(2), lambda s: (4, s.h, s.w, s.a), reference=plain.minibatch_std),
    Case(
        "MinibatchStd of the whole batch",
        MinibatchStd,
        lambda s: MinibatchStd(None),
        lambda s: (s.N + 1, s.a),
        reference=plain.minibatch_std,
    ),
    Case(
        "MinibatchDiscrimination",
        MinibatchDiscrimination,
        lambda s: MinibatchDiscrimination(s.a, s.b, s.c),
        rows,
        reference=plain.minibatch_discrimination,
    ),
    Case(
        "MinibatchDiscrimination with computed weights",
        MinibatchDiscrimination,
        lambda s: MinibatchDiscrimination(s.a, s.b, s.c).compute("W", Tanh()),
        rows,
    ),
    Case(
        "ScaledDotProduct",
        ScaledDotProduct,
        lambda s: ScaledDotProduct(2),
        lambda s: ((s.N, s.T, 2 * s.a), (s.N, s.h, s.w, 2 * s.a), (s.N, s.h, s.w, 2 * s.a)),
        reference=plain.attention,
    ),
    Case(
        "ScaledDotProduct that is causal",
        ScaledDotProduct,
        lambda s: ScaledDotProduct(1, causal=True),
        lambda s: ((s.N, s.T, s.a),) * 3,
        reference=plain.attention,
    ),
    Case(
        "MultiHeadAttention", MultiHeadAttention, lambda s: MultiHeadAttention(2 * s.a, 2), lambda s: (s.N, s.h, s.w, 2 * s.a)
    ),
    Case("MultiHeadAttention that is causal", MultiHeadAttention, lambda s: MultiHeadAttention(s.a, causal=True), sequence),
    Case(
        "WeightNorm of Linear",
        WeightNorm,
        lambda s: Linear(s.a, s.b).compute("W", WeightNorm(s.b)),
        rows,
        reference=lambda l, x: x @ plain.weight_norm(l) + l.params["b"],
    ),
    Case("WeightNorm by itself", WeightNorm, lambda s: WeightNorm(s.b), lambda s: (s.a, s.b), _WEIGHT),
    Case(
        "WeightNorm of WeightNorm",
        WeightNorm,
        lambda s: Linear(s.a, s.b).compute("W", WeightNorm(s.b).compute("g", Tanh())),
        rows,
    ),
    Case(
        "EqualisedRate",
        EqualisedRate,
        lambda s: Linear(s.a, s.b).compute("W", EqualisedRate()),
        rows,
        reference=lambda l, x: x @ l.params["W"] * (2 / l.inputs) ** 0.5 + l.params["b"],
    ),
    Case(
        "SpectralNorm by itself",
        Standing,
        lambda s: Standing((s.a, s.b)),
        lambda s: 0.1 * Key(s.seed).normal((s.a, s.b), np.float64),
        _WEIGHT,
        reference=plain.spectral_norm,
        committed=plain.power_iteration,
    ),
    Case(
        "EqualisedRate of Conv2d",
        EqualisedRate,
        lambda s: Conv2d(s.a, s.b, 2).compute("W", EqualisedRate()),
        image,
        reference=plain.equalised,
    ),
    Case(
        "EqualisedRate of a given fan-in",
        EqualisedRate,
        lambda s: Linear(s.a, s.b).compute("W", EqualisedRate(1.0, fan_in=9)),
        rows,
        reference=lambda l, x: x @ l.params["W"] / 3 + l.params["b"],
    ),
    Case(
        "ScaledDotProduct of two positions",
        ScaledDotProduct,
        lambda s: ScaledDotProduct(causal=True),
        lambda s: ((s.N, 2, s.a),) * 3,
        reference=plain.attention,
    ),
    Case(
        "ScaledDotProduct of large scores",
        ScaledDotProduct,
        lambda s: ScaledDotProduct(causal=True),
        lambda s: tuple(100 * Key(s.seed).at(i).normal((s.N, 2, s.a), np.float64) for i in range(3)),
    ),
    Case("SpectralNorm of Linear", SpectralNorm, lambda s: Linear(s.a, s.b).compute("W", SpectralNorm()), rows),
    Case("SpectralNorm of Conv2d", SpectralNorm, lambda s: Conv2d(s.a, s.b, 2).compute("W", SpectralNorm()), image),
    Case("Reshape", Reshape, lambda s: Reshape(s.a, s.h), lambda s: (s.N, s.h, s.a)),
    Case("Reshape of an unknown axis", Reshape, lambda s: Reshape(-1, s.h), lambda s: (s.N, s.h, s.a)),
    Case("Flatten", Flatten, lambda s: Flatten(), lambda s: (s.N, s.h, s.w, s.a)),
    Case("Sum", Sum, lambda s: Sum(), lambda s: (sequence(s),) * 3, reference=lambda _, x: x[0] + x[1] + x[2]),
    Case(
        "InnerProduct",
        InnerProduct,
        lambda s: InnerProduct(),
        lambda s: (sequence(s), sequence(s)),
        reference=lambda _, x: np.einsum("ntd,ntd->nt", *x)[..., None],
    ),
    Case("Concatenate", Concatenate, lambda s: Concatenate(), lambda s: ((s.N, s.T, s.a), (s.N, s.T, s.b))),
    Case("Concatenate along 1", Concatenate, lambda s: Concatenate(1), lambda s: ((s.N, s.T, s.a), (s.N, s.h, s.a))),
    Case("Split", Split, lambda s: Split((s.a, s.b)), lambda s: (s.N, s.T, s.a + s.b)),
    Case("Split in three", Split, lambda s: Split((s.a, s.b, s.c)), lambda s: (s.N, s.a + s.b + s.c)),
    Case("Split along 1", Split, lambda s: Split((s.T, s.h), axis=1), lambda s: (s.N, s.T + s.h, s.a)),
    Case("Sequential", Sequential, lambda s: Sequential(Linear(s.a, s.b), Tanh(), Linear(s.b, s.c)), sequence),
    Case("Sequential with state", Sequential, lambda s: Sequential(Linear(s.a, s.b), norm=BatchNorm(s.b)), image),
    Case("Residual", Residual, lambda s: Residual(Sequential(SiLU(), Linear(s.a, s.a))), rows),
    Case("Chain", Chain, lambda s: Chain(Warp(s.a), Warp(s.a)), rows),
    Case("Chain with state", Chain, lambda s: Chain(Warp(s.a), Centred(s.a)), rows),
    Case("Chain that stores nothing", Chain, lambda s: Chain(Warp(s.a), Warp(s.a), store=False), sequence),
)
