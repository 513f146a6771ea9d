"""The network of `wavenet` and `char_wavenet`: logits of every symbol of a sequence, from those before it alone.

    h_0 = E[the symbol before]                                                        (van den Oord et al. 2016, figure 4)
    a_i = conv_i(h_i) + V_i[label]          a causal convolution of dilation d_i; the label, where there is one
    u_i = dense_i(tanh(first half of a_i) s(second half of a_i))
    h_(i+1) = h_i + u_i                     residual: layer i changes what comes through
    logits = head(u_0 + u_1 + ...)          skips: every layer also speaks for itself; head is ReLU, dense, ReLU, dense

Kernels of k taps with dilations 1, 2, 4, ..., 2^(L-1) see 1 + (k - 1)(2^L - 1) positions with L layers: reach doubles with
every layer, where it would grow by k - 1 with every layer without dilation. The sequence 1, 2, 4, ... is stacked several times.

N batch, T positions, V symbols, R width, K classes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..backend import Array, Shape
from ..layers.channel_shift import ChannelShift
from ..layers.composite import Composite, Sequential
from ..layers.conv1d import Conv1d
from ..layers.elementwise import ReLU
from ..layers.embedding import Embedding
from ..layers.gated import GatedUnit
from ..layers.linear import Linear
from ..layers.tree import NOTHING, Tree
from ..layers.vector import Initialiser
from ..layers.wiring import add
from ..random import Key


def in_order(key: Key, shape: Shape) -> Array:
    """First values of a table E (V + 1, R) whose symbols are levels: neighbours begin alike, where N(0, 1) knows no neighbours.

    Level v lies at x = 2 v / (V - 1) - 1 and gets sin(pi k x) / sqrt(k) and cos(pi k x) / sqrt(k) for k = 1/2, 1, 3/2, ...;
    the first of them all but says how large it is. The last row, "nothing before", is N(0, 1).
    """
    V, R = shape[0] - 1, shape[1]
    x = 2 * np.arange(V) / (V - 1) - 1
    k = (1 + np.arange(R) // 2) / 2  # (R,)
    waves = np.where(np.arange(R) % 2, np.cos(np.pi * k * x[:, None]), np.sin(np.pi * k * x[:, None]))  # (V, R)
    return np.concatenate((waves / np.sqrt(k), key.normal((1, R), np.float64)))


class GatedBlock(Composite):
    """(h, label) -> u: (N, T, R), (N,) or None -> (N, T, R). With `classes`, the label shifts what enters the gates."""

    def __init__(self, width: int, kernel: int, dilation: int, classes: int) -> None:
        super().__init__()
        self.classes = classes
        self.conv = Conv1d(width, 2 * width, kernel, dilation=dilation, causal=True)
        if classes:
            self.label, self.shift = Embedding(classes, 2 * width), ChannelShift()
        self.gate, self.out = GatedUnit(), Linear(width, width)

    def wire(self, f: Any, x: Tree) -> Tree:
        h, label = x
        a = f.conv(h)  # (N, T, 2 R)
        if self.classes:
            a = f.shift((a, f.label(label)))
        return f.out(f.gate(a))

    def unwire(self, b: Any, dy: Tree) -> Tree:
        da, dlabel = b.gate(b.out(dy)), NOTHING
        if self.classes:
            da, dshift = b.shift(da)
            dlabel = b.label(dshift)
        return b.conv(da), dlabel


class CausalStack(Composite):
    """(symbols before, label) -> logits: (N, T) integers 0 .. V, (N,) or None -> (N, T, V). V stands for "nothing before"."""

    def __init__(
        self,
        symbols: int,
        width: int,
        hidden: int,
        kernel: int,
        dilations: tuple[int, ...],
        classes: int = 0,
        *,
        table: Initialiser | None = None,
    ) -> None:
        super().__init__()
        self.embed = Embedding(symbols + 1, width, initialiser=table)
        self.blocks = [GatedBlock(width, kernel, dilation, classes) for dilation in dilations]
        self.head = Sequential(relu1=ReLU(), dense=Linear(width, hidden), relu2=ReLU(), out=Linear(hidden, symbols))
        self.reach = 1 + (kernel - 1) * sum(dilations)  # of the positions before, those that a logit depends on

    def wire(self, f: Any, x: Tree) -> Tree:
        before, label = x
        h, skips = f.embed(before), list[Tree]()  # (N, T, R)
        for i in range(len(self.blocks)):
            h = add(h, skips[-1]) if skips else h
            skips.append(f.blocks[i]((h, label)))
        return f.head(add(*skips))

    def unwire(self, b: Any, dy: Tree) -> Tree:
        dskips, dh = b.head(dy), NOTHING  # nobody uses the last h
        for i in reversed(range(len(self.blocks))):
            through, _ = b.blocks[i](add(dskips, dh))
            dh = add(dh, through)
        return b.embed(dh), NOTHING
