"""Layers: one file per kind. `layer.py` has the protocol, `linear.py` is the pattern, `composite.py` puts them together."""

from .batch_norm import BatchNorm
from .bijection import Bijection, Chain
from .combine import Concatenate, Split, Sum
from .composite import Composite, NotFiniteError, Residual, Sequential, watch
from .conv2d import Conv2d, ConvTranspose2d
from .dropout import Dropout
from .elementwise import Elementwise, LeakyReLU, ReLU, Sigmoid, SiLU, Softplus, Tanh
from .embedding import Embedding, Unembedding
from .layer import Layer, StaleCacheError
from .layer_norm import LayerNorm
from .linear import Linear
from .params import Params
from .shape import Flatten, Reshape
from .softmax import Softmax
from .spectral_norm import SpectralNorm
from .vector import Spec

__all__ = [
    "BatchNorm",
    "Bijection",
    "Chain",
    "Composite",
    "Concatenate",
    "Conv2d",
    "ConvTranspose2d",
    "Dropout",
    "Elementwise",
    "Embedding",
    "Flatten",
    "Layer",
    "LayerNorm",
    "LeakyReLU",
    "Linear",
    "NotFiniteError",
    "Params",
    "ReLU",
    "Reshape",
    "Residual",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Spec",
    "SpectralNorm",
    "Split",
    "StaleCacheError",
    "Sum",
    "Tanh",
    "Unembedding",
    "watch",
]
