"""The stack of WaveNet over characters: text is drawn a character at a time, each given those before it.

Everything is that of `wavenet` but the symbols: V characters in place of 256 levels. On the data set `grammar` the entropy of
the text is known, and a model's nats per character cannot be below it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike

from ..backend import Shape
from ..random import Key
from .model import Recipe
from .wavenet import WaveNet


class CharWaveNet(WaveNet):
    """A model of sequences of V = len(characters) symbols, without labels."""

    name = "char_wavenet"
    recipe = Recipe(
        family="autoregressive",
        data=("grammar", "text"),
        batch=32,
        steps=3000,
        rate=3e-3,
        lesson="12",
        options={"width": 32, "hidden": 64, "kernel": 2, "layers": 7, "stacks": 1, "characters": None},
        objectives=("next_symbol",),
        proof={"rows": 2, "options": {"width": 3, "hidden": 4, "layers": 3}, "data_options": {"rows": 4, "length": 24}},
    )
    unit = "nats per character"

    def __init__(
        self,
        shape: Shape,
        key: Key,
        dtype: DTypeLike = np.float32,
        *,
        width: int = 32,
        hidden: int = 64,
        kernel: int = 2,
        layers: int = 7,
        stacks: int = 1,
        characters: str | None = None,
    ) -> None:
        if not characters:
            raise ValueError(f"{self.name} is for text, and needs its characters: choose data such as grammar")
        self.lay_out(shape, key, dtype, len(characters), 0, width, hidden, kernel, layers, stacks)
        self.traits = {"characters": characters}
