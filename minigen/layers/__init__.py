"""Layers: one file per kind. `layer.py` has the protocol, `linear.py` is the pattern, `composite.py` puts them together."""

from .act_norm import ActNorm
from .activations import ELU, GELU, SELU, Mish, Softsign
from .attention import MultiHeadAttention, ScaledDotProduct
from .augment import Brightness, Contrast, Cutout, RandomCrop, RandomFlip, RandomShift, Saturation
from .batch_norm import BatchNorm
from .bijection import Bijection, Chain
from .channel_shift import ChannelShift
from .combine import Concatenate, Split, Sum
from .composite import Composite, NotFiniteError, Residual, Sequential, watch
from .conv1d import Conv1d
from .conv2d import Conv2d, ConvTranspose2d
from .coupling import Affine, AffineCoupling, Coupling, Transform
from .dropout import Dropout
from .elementwise import Elementwise, LeakyReLU, ReLU, Sigmoid, SiLU, Softplus, Tanh
from .embedding import Embedding, Unembedding
from .equalised import EqualisedRate
from .free_energy import FreeEnergy
from .gated import GatedUnit
from .group_norm import GroupNorm, InstanceNorm
from .inner_product import InnerProduct
from .invertible_conv import InvertibleConv
from .layer import Layer, StaleCacheError
from .layer_norm import LayerNorm
from .linear import Linear
from .linear_map import LinearMap
from .logit import Logit
from .masked_conv2d import MaskedConv2d
from .masks import Halves, Join, Mask, Masked, channel_halves, checkerboard
from .minibatch import MinibatchDiscrimination, MinibatchStd
from .multi_scale import MultiScale
from .params import Params
from .pooling import AveragePool2d, GlobalAveragePool, MaxPool2d
from .rearrange import Permute, Rearrangement
from .shape import Flatten, Reshape
from .softmax import Softmax
from .spectral_norm import SpectralNorm
from .spline import Spline, SplineCoupling
from .squeeze import DepthToSpace, SpaceToDepth, Squeeze
from .time_embedding import TimeEmbedding
from .upsample import BilinearUpsample, NearestUpsample
from .vector import Spec
from .weight_norm import WeightNorm

__all__ = [
    "ELU",
    "GELU",
    "SELU",
    "ActNorm",
    "Affine",
    "AffineCoupling",
    "AveragePool2d",
    "BatchNorm",
    "Bijection",
    "BilinearUpsample",
    "Brightness",
    "Chain",
    "ChannelShift",
    "Composite",
    "Concatenate",
    "Contrast",
    "Conv1d",
    "Conv2d",
    "ConvTranspose2d",
    "Coupling",
    "Cutout",
    "DepthToSpace",
    "Dropout",
    "Elementwise",
    "Embedding",
    "EqualisedRate",
    "Flatten",
    "FreeEnergy",
    "GatedUnit",
    "GlobalAveragePool",
    "GroupNorm",
    "Halves",
    "InnerProduct",
    "InstanceNorm",
    "InvertibleConv",
    "Join",
    "Layer",
    "LayerNorm",
    "LeakyReLU",
    "Linear",
    "LinearMap",
    "Logit",
    "Mask",
    "Masked",
    "MaskedConv2d",
    "MaxPool2d",
    "MinibatchDiscrimination",
    "MinibatchStd",
    "Mish",
    "MultiHeadAttention",
    "MultiScale",
    "NearestUpsample",
    "NotFiniteError",
    "Params",
    "Permute",
    "RandomCrop",
    "RandomFlip",
    "RandomShift",
    "ReLU",
    "Rearrangement",
    "Reshape",
    "Residual",
    "Saturation",
    "ScaledDotProduct",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Softsign",
    "SpaceToDepth",
    "Spec",
    "SpectralNorm",
    "Spline",
    "SplineCoupling",
    "Split",
    "Squeeze",
    "StaleCacheError",
    "Sum",
    "Tanh",
    "TimeEmbedding",
    "Transform",
    "Unembedding",
    "WeightNorm",
    "channel_halves",
    "checkerboard",
    "watch",
]
