"""Gated PixelCNN (van den Oord et al. 2016b, "Conditional image generation with PixelCNN decoders"): two stacks, no blind spot.

The vertical stack sees all rows above, the horizontal stack the pixels to the left and what the vertical one tells it. Layer l:

    v' = conv_l(v)  + E_l[y]                  rows down to the own one (first layer: the rows above)      2 p channels
    h' = row_l(h)   + E'_l[y] + link_l(v')    the row up to the pixel itself (first layer: before it)     2 p
    v  = tanh(v'_a) s(v'_b)                   the gated unit                                              p
    h  = h + out_l( tanh(h'_a) s(h'_b) )      1x1, and a residual                                         p

The logits are 1x1 convolutions of the last h. E_l[y] is there where the model has classes: a class decides, in every layer and
at all pixels alike, which units are open. The taps of layer l lie 1, 2, 4 pixels apart, in turn, as WaveNet's do (the paper has
larger kernels): a layer costs the same, and the network sees farther.

In sampling the vertical stack goes along the rows, since it needs whole rows and has them; the horizontal one along the pixels.

N batch, (H, W, 1) an image, p channels, L layers, y the class.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ..backend import Array, Shape
from ..layers.channel_shift import ChannelShift
from ..layers.composite import Composite, Sequential
from ..layers.elementwise import ReLU
from ..layers.embedding import Embedding
from ..layers.gated import GatedUnit
from ..layers.masked_conv2d import MaskedConv2d, horizontal, spread, vertical
from ..layers.tree import Tree
from ..layers.wiring import add
from ..random import Key
from .model import Recipe
from .pixelcnn import pointwise
from .pixels import Levels
from .raster import Predict, RasterModel, before


class Told(Composite):
    """(x, y) -> conv(x) + E[y]: a convolution that is told the class; without classes, conv(x)."""

    def __init__(self, conv: MaskedConv2d, classes: int) -> None:
        super().__init__()
        self.conv, self.classes = conv, classes
        if classes:
            self.label, self.shift = Embedding(classes, conv.outputs), ChannelShift()

    def wire(self, f: Any, x: Tree) -> Tree:
        x, y = x
        h = f.conv(x)
        return f.shift((h, f.label(y))) if self.classes else h

    def unwire(self, b: Any, dy: Tree) -> Tree:
        if self.classes:
            dy, dlabel = b.shift(dy)
            b.label(dlabel)
        return b.conv(dy, need_dx=b.need_dx), None


class VerticalStack(Composite):
    """(x, y) -> what each layer tells the horizontal stack: L arrays (N, H, W, 2 p)."""

    def __init__(self, width: int, kernel: int, dilations: tuple[int, ...], classes: int) -> None:
        super().__init__()
        first = MaskedConv2d(1, 2 * width, vertical("A", 7))
        later = [MaskedConv2d(width, 2 * width, spread(vertical("B", kernel), d)) for d in dilations]
        self.convs = [Told(conv, classes) for conv in (first, *later)]
        self.links = [pointwise(2 * width, 2 * width) for _ in self.convs]
        self.gate = GatedUnit()

    def wire(self, f: Any, x: Tree) -> Tree:
        x, y = x
        v = f.convs[0]((x, y))
        told = [f.links[0](v)]
        for l in range(1, len(self.convs)):
            v = f.convs[l]((f.gate(v), y))
            told.append(f.links[l](v))
        return tuple(told)

    def unwire(self, b: Any, dy: Tree) -> Tree:
        dv: Any = 0
        for l in reversed(range(1, len(self.convs))):
            dv = add(dv, b.links[l](dy[l]))
            dv = b.gate(b.convs[l](dv)[0])
        return b.convs[0](add(dv, b.links[0](dy[0])), need_dx=b.need_dx)


class HorizontalStack(Composite):
    """(x, what the vertical stack tells, y) -> logits (N, H, W, outputs)."""

    def __init__(self, width: int, kernel: int, dilations: tuple[int, ...], classes: int, outputs: int) -> None:
        super().__init__()
        first = MaskedConv2d(1, 2 * width, horizontal("A", 7))
        later = [MaskedConv2d(width, 2 * width, spread(horizontal("B", kernel), d)) for d in dilations]
        self.rows = [Told(conv, classes) for conv in (first, *later)]
        self.outs = [pointwise(width, width) for _ in self.rows]
        self.gate = GatedUnit()
        self.head = Sequential(relu=ReLU(), wide=pointwise(width, 2 * width), relu2=ReLU(), out=pointwise(2 * width, outputs))

    def wire(self, f: Any, x: Tree) -> Tree:
        x, told, y = x
        h = f.outs[0](f.gate(add(f.rows[0]((x, y)), told[0])))
        for l in range(1, len(self.rows)):
            h = add(h, f.outs[l](f.gate(add(f.rows[l]((h, y)), told[l]))))
        return f.head(h)

    def unwire(self, b: Any, dy: Tree) -> Tree:
        dh, dtold = b.head(dy), {}
        for l in reversed(range(1, len(self.rows))):
            dtold[l] = b.gate(b.outs[l](dh))
            dh = add(dh, b.rows[l](dtold[l])[0])
        dtold[0] = b.gate(b.outs[0](dh))
        dx = b.rows[0](dtold[0], need_dx=b.need_dx)[0]
        return dx, tuple(dtold[l] for l in range(len(self.rows))), None


class TwoStacks(Composite):
    """x, or (x, y) where there are classes -> logits."""

    def __init__(self, width: int, kernel: int, dilations: tuple[int, ...], classes: int, outputs: int) -> None:
        super().__init__()
        self.classes = classes
        self.vertical = VerticalStack(width, kernel, dilations, classes)
        self.horizontal = HorizontalStack(width, kernel, dilations, classes, outputs)

    def wire(self, f: Any, x: Tree) -> Tree:
        x, y = x if self.classes else (x, None)
        return f.horizontal((x, f.vertical((x, y)), y))

    def unwire(self, b: Any, dy: Tree) -> Tree:
        dx_row, dtold, _ = b.horizontal(dy)
        dx = add(dx_row, b.vertical(dtold, need_dx=b.need_dx)[0])
        return (dx, None) if self.classes else dx


class GatedPixelCNN(RasterModel):
    """With `classes`, a model of p(x | y), trained on images with labels. Raises ValueError on images with colours."""

    name = "gated_pixelcnn"
    recipe = Recipe(
        family="autoregressive",
        data=("glyphs", "mnist", "binarized_mnist", "fashion_mnist"),
        batch=16,
        steps=4000,
        rate=5e-3,
        lesson="07",
        options={"width": 16, "layers": 10, "kernel": 3, "dilations": (1, 2, 4), "classes": 0, "levels": 2},
        objectives=("nll",),
        proof={"rows": 2, "options": {"width": 4, "layers": 3, "classes": 10}, "data_options": {"size": 16}},
    )
    net: TwoStacks

    def __init__(
        self,
        shape: Shape,
        key: Key,
        dtype: DTypeLike = np.float32,
        *,
        width: int = 16,
        layers: int = 10,
        kernel: int = 3,
        dilations: Sequence[int] = (1, 2, 4),
        classes: int = 0,
        levels: int = 2,
    ) -> None:
        pixels = Levels(levels)
        if not dilations or min(dilations) < 1:
            raise ValueError(f"dilations={tuple(dilations)}: they are used in turn, so at least one, and each at least 1")
        in_turn = tuple(dilations[l % len(dilations)] for l in range(layers - 1))
        net = TwoStacks(width, kernel, in_turn, classes, pixels.logits)
        super().__init__(shape, key, dtype, net, pixels, classes)

    def predictor(self, n: int, labels: Array | None) -> Predict:
        vertical, horizontal = self.net.vertical, self.net.horizontal
        above, left = vertical.stream(n), horizontal.stream(n, self.shape[1])
        told: tuple[Array, ...] = ()

        def predict(images: Array, i: int, j: int) -> Array:
            nonlocal told
            if j == 0:
                told = vertical.advance((images[:, i - 1], labels), above)  # L of (N, W, 2 p)
            logits: Array = horizontal.advance((before(images, i, j), tuple(t[:, j] for t in told), labels), left)
            return logits

        return predict
