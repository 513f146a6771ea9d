"""Cases for the layers of images and sequences: convolutions, pooling, upsampling, moving pixels."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..layers.augment import Brightness, Contrast, Cutout, RandomCrop, RandomFlip, RandomShift, Saturation
from ..layers.conv1d import Conv1d
from ..layers.conv2d import Conv2d, ConvTranspose2d
from ..layers.elementwise import Tanh
from ..layers.pooling import AveragePool2d, GlobalAveragePool, MaxPool2d
from ..layers.squeeze import DepthToSpace, SpaceToDepth, Squeeze
from ..layers.upsample import BilinearUpsample, NearestUpsample
from . import plain
from .case import Case, Sizes, image, sequence


def _factor(s: Sizes) -> int:
    return 2 + s.c % 2


def _blocks(s: Sizes) -> Any:
    return s.N, _factor(s) * s.h, _factor(s) * s.w, s.a


def _deep(s: Sizes) -> Any:
    return s.N, s.h, s.w, _factor(s) ** 2 * s.a


IMAGE_CASES: tuple[Case, ...] = (
    Case("Conv2d", Conv2d, lambda s: Conv2d(s.a, s.b, 3, padding="same"), image, reference=plain.conv2d),
    Case(
        "Conv2d with stride and dilation",
        Conv2d,
        lambda s: Conv2d(s.a, s.b, (2, 3), stride=(2, 1), padding=(0, 1), dilation=(2, 1), bias=False),
        lambda s: (s.N, s.h + 2, s.w, s.a),
        reference=plain.conv2d,
    ),
    Case(
        "Conv2d with computed weights", Conv2d, lambda s: Conv2d(s.a, s.c, 2).compute("W", Tanh()).compute("b", Tanh()), image
    ),
    Case(
        "Conv2d in groups",
        Conv2d,
        lambda s: Conv2d(2 * s.a, 4, (3, 2), stride=(1, 2), padding=(1, 0), groups=2),
        lambda s: (s.N, s.h, s.w + 1, 2 * s.a),
        reference=plain.in_groups(plain.conv2d),
    ),
    Case(
        "Conv2d that is depthwise",
        Conv2d,
        lambda s: Conv2d(s.a, s.a, 3, padding="same", groups=s.a),
        image,
        reference=plain.in_groups(plain.conv2d),
    ),
    Case(
        "ConvTranspose2d in groups",
        ConvTranspose2d,
        lambda s: ConvTranspose2d(2 * s.c, 6, (2, 3), stride=(2, 1), padding=(0, 1), groups=2),
        lambda s: (s.N, s.h, s.w, 2 * s.c),
        reference=plain.in_groups(plain.conv_transpose2d),
    ),
    Case(
        "ConvTranspose2d",
        ConvTranspose2d,
        lambda s: ConvTranspose2d(s.a, s.b, 4, stride=2, padding=1),
        lambda s: (s.N, s.h, s.w, s.a),
        reference=plain.conv_transpose2d,
    ),
    Case(
        "ConvTranspose2d with output padding",
        ConvTranspose2d,
        lambda s: ConvTranspose2d(s.a, s.b, (3, 2), stride=(2, 3), output_padding=(1, 2), dilation=(1, 2), bias=False),
        lambda s: (s.N, s.h, s.w, s.a),
        reference=plain.conv_transpose2d,
    ),
    Case(
        "AveragePool2d",
        AveragePool2d,
        lambda s: AveragePool2d((2, 3), stride=(2, 1), padding=(0, 1)),
        image,
        reference=plain.pool(np.mean, 0.0),
    ),
    Case(
        "MaxPool2d",
        MaxPool2d,
        lambda s: MaxPool2d((3, 2), stride=(1, 2), padding=(1, 0)),
        image,
        reference=plain.pool(np.max, -np.inf),
    ),
    Case(
        "GlobalAveragePool",
        GlobalAveragePool,
        lambda s: GlobalAveragePool(),
        image,
        reference=lambda _, x: np.einsum("nhwc->nc", x) / (x.shape[1] * x.shape[2]),
    ),
    Case("NearestUpsample", NearestUpsample, lambda s: NearestUpsample(_factor(s)), image, reference=plain.nearest),
    Case("BilinearUpsample", BilinearUpsample, lambda s: BilinearUpsample(_factor(s)), image, reference=plain.bilinear),
    Case("SpaceToDepth", SpaceToDepth, lambda s: SpaceToDepth(_factor(s)), _blocks, reference=plain.space_to_depth),
    Case("DepthToSpace", DepthToSpace, lambda s: DepthToSpace(_factor(s)), _deep, reference=plain.depth_to_space),
    Case("Squeeze", Squeeze, lambda s: Squeeze(2), lambda s: (s.N, 2 * (1 + s.h % 2), 4, 1 + s.a % 3)),
    Case("Conv1d", Conv1d, lambda s: Conv1d(s.a, s.b, 3, stride=2, padding=1), sequence, reference=plain.conv1d),
    Case(
        "Conv1d that is causal",
        Conv1d,
        lambda s: Conv1d(s.a, s.b, 2, dilation=2, causal=True),
        lambda s: (s.N, s.T + 3, s.a),
        reference=plain.conv1d,
    ),
    Case(
        "Conv1d in groups",
        Conv1d,
        lambda s: Conv1d(2 * s.c, 4, 2, causal=True, groups=2),
        lambda s: (s.N, s.T, 2 * s.c),
        reference=plain.in_groups(plain.conv1d),
    ),
    Case(
        "Conv1d with computed weights",
        Conv1d,
        lambda s: Conv1d(s.a, s.b, 2, causal=True, bias=False).compute("W", Tanh()),
        sequence,
    ),
    Case("RandomShift", RandomShift, lambda s: RandomShift(2), image, reference=plain.same, trained=plain.window),
    Case("RandomCrop", RandomCrop, lambda s: RandomCrop(2, padding=s.c), image, reference=plain.middle, trained=plain.window),
    Case(
        "RandomCrop of a part",
        RandomCrop,
        lambda s: RandomCrop(3),
        lambda s: (s.N, 5, 7, s.a),
        reference=lambda _, x: x[:, 1:4, 2:5],
    ),
    Case("RandomFlip", RandomFlip, lambda s: RandomFlip(), image, reference=plain.same, trained=plain.flipped),
    Case("Cutout", Cutout, lambda s: Cutout(2), image, reference=plain.same, trained=lambda _, x, c: np.where(c.mask, x, 0)),
    Case("Brightness", Brightness, lambda s: Brightness(), image, reference=plain.same, trained=lambda _, x, c: x + c.amount),
    Case("Contrast", Contrast, lambda s: Contrast(), image, reference=plain.same, trained=plain.contrast),
    Case("Saturation", Saturation, lambda s: Saturation(), image, reference=plain.same, trained=plain.contrast),
)
