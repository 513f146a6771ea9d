"""Cases for the layers of diffusion models: time as features, and a shift of channels."""

from __future__ import annotations

import numpy as np

from ..layers.channel_shift import ChannelShift
from ..layers.time_embedding import TimeEmbedding
from ..random import Key
from .case import Case, Sizes


def _time(s: Sizes) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Steps (N,) between 0 and 30."""
    return 30 * Key(s.seed).at("time").uniform((s.N,), np.float64)


DIFFUSION_CASES: tuple[Case, ...] = (
    Case(
        "TimeEmbedding",
        TimeEmbedding,
        lambda s: TimeEmbedding(s.a, longest=100.0),
        _time,
        reference=lambda l, t: np.array(
            [[g(one / 100.0 ** (i / l.frequencies)) for g in (np.sin, np.cos) for i in range(l.frequencies)] for one in t]
        ).reshape(len(t), -1),
    ),
    Case("TimeEmbedding of many", TimeEmbedding, lambda s: TimeEmbedding(s.c), lambda s: (s.N, s.T)),
    Case(
        "ChannelShift",
        ChannelShift,
        lambda s: ChannelShift(),
        lambda s: ((s.N, s.h, s.w, s.a), (s.N, s.a)),
        reference=lambda _, x: np.stack([image + shift for image, shift in zip(*x, strict=True)]),
    ),
    Case("ChannelShift of rows", ChannelShift, lambda s: ChannelShift(), lambda s: ((s.N, s.a), (s.N, s.a))),
)
