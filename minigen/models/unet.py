"""The U-Net of a diffusion model (Ronneberger et al. 2015; Ho et al. 2020, appendix B): image in, image out, told the time.

    x - stem - d1 - - - - - - - - - - - - s1 - - - - - - - - - - - - - join - u1 - norm, SiLU, conv -> y      H,   W,   width
                 \\ down1 - d2 - - - - - - s2 - - - - - - - join - u2 - up1 /                                 H/2, W/2, 2 width
                           \\ down2 - d3 - s3 - att - mid - join - u3 - up2 /                                 H/4, W/4, 2 width

What happens at low resolution decides what is in the picture; the skips s1, s2, s3 carry over where exactly. Each block is told
the time by a shift of its channels, from

    t -- sines and cosines -- Linear -- SiLU -- Linear -- (+ E[label]) -- SiLU -->  e (N, 4 width)

`unwire` is the mirror image of `wire`: what was joined is split, and a skip's gradient meets that of the way below it.

N batch, (H, W) sides that can be halved twice, C channels of the image, E = 4 width.
"""

from __future__ import annotations

from typing import Any

from ..layers.attention import MultiHeadAttention
from ..layers.channel_shift import ChannelShift
from ..layers.combine import Concatenate
from ..layers.composite import Composite, Residual, Sequential
from ..layers.conv2d import Conv2d
from ..layers.elementwise import SiLU
from ..layers.embedding import Embedding
from ..layers.group_norm import GroupNorm
from ..layers.linear import Linear
from ..layers.time_embedding import TimeEmbedding
from ..layers.tree import Tree
from ..layers.upsample import NearestUpsample
from ..layers.wiring import add

GROUPS = 8
FREQUENCIES = 16


def conv(inputs: int, outputs: int, stride: int = 1) -> Conv2d:
    """A 3x3 convolution that keeps H and W at stride 1 and halves them at stride 2."""
    return Conv2d(inputs, outputs, 3, stride=stride, padding=1)


def up(channels: int) -> Sequential:
    """Every pixel four times, and a convolution over them."""
    return Sequential(twice=NearestUpsample(2), conv=conv(channels, channels))


def norm_conv(inputs: int, outputs: int) -> Sequential:
    """Group norm, SiLU, convolution."""
    return Sequential(norm=GroupNorm(GROUPS, inputs, activation=SiLU()), conv=conv(inputs, outputs))


class Block(Composite):
    """(x, e) -> conv2(conv1(x) + shift(e)) + skip(x): (N, H, W, inputs), (N, E) -> (N, H, W, outputs).

    The skip is the identity, or a 1x1 convolution where the widths differ.
    """

    def __init__(self, inputs: int, outputs: int, E: int) -> None:
        super().__init__()
        self.one, self.two = norm_conv(inputs, outputs), norm_conv(outputs, outputs)
        self.time, self.shift = Linear(E, outputs), ChannelShift()
        self.wider = inputs != outputs
        if self.wider:
            self.skip = Conv2d(inputs, outputs, 1)

    def wire(self, f: Any, x: Tree) -> Tree:
        x, e = x
        h = f.shift((f.one(x), f.time(e)))
        return add(f.two(h), f.skip(x) if self.wider else x)

    def unwire(self, b: Any, dy: Tree) -> Tree:
        dx = b.skip(dy) if self.wider else dy
        dh, dshift = b.shift(b.two(dy))
        de = b.time(dshift)
        return add(dx, b.one(dh)), de


class UNet(Composite):
    """(x, t) -> y: (N, H, W, C), (N,) -> (N, H, W, C). With K classes (x, t, label), labels (N,) in 0 .. K, where K is none.

    Raises ValueError where width is not a multiple of 8, the groups of its normalisations, or only 8: a group of one channel
    would take from it what the time has shifted it by.
    """

    def __init__(self, channels: int, width: int, classes: int = 0) -> None:
        super().__init__()
        if width < 2 * GROUPS or width % GROUPS:
            raise ValueError(
                f"a U-Net's width must be a multiple of its {GROUPS} groups and at least {2 * GROUPS}, got {width}"
            )
        w, E = width, 4 * width
        self.classes = classes
        self.time = Sequential(waves=TimeEmbedding(FREQUENCIES), one=Linear(2 * FREQUENCIES, E), silu=SiLU(), two=Linear(E, E))
        if classes:
            self.label = Embedding(classes + 1, E)
        self.silu, self.join = SiLU(), Concatenate()
        self.stem = conv(channels, w)
        self.d1, self.down1 = Block(w, w, E), conv(w, w, 2)
        self.d2, self.down2 = Block(w, 2 * w, E), conv(2 * w, 2 * w, 2)
        self.d3 = Block(2 * w, 2 * w, E)
        self.att = Residual(Sequential(norm=GroupNorm(GROUPS, 2 * w), mix=MultiHeadAttention(2 * w, bias=True)))
        self.mid = Block(2 * w, 2 * w, E)
        self.u3, self.up2 = Block(4 * w, 2 * w, E), up(2 * w)
        self.u2, self.up1 = Block(4 * w, 2 * w, E), up(2 * w)
        self.u1, self.out = Block(3 * w, w, E), norm_conv(w, channels)

    def wire(self, f: Any, x: Tree) -> Tree:
        x, t, *label = x
        e = f.time(t)
        e = f.silu(add(e, f.label(label[0])) if self.classes else e)  # (N, E)
        s1 = f.d1((f.stem(x), e))  # (N, H, W, w)
        s2 = f.d2((f.down1(s1), e))  # (N, H/2, W/2, 2w)
        s3 = f.d3((f.down2(s2), e))  # (N, H/4, W/4, 2w)
        h = f.mid((f.att(s3), e))
        h = f.up2(f.u3((f.join((h, s3)), e)))  # (N, H/2, W/2, 2w)
        h = f.up1(f.u2((f.join((h, s2)), e)))  # (N, H, W, 2w)
        return f.out(f.u1((f.join((h, s1)), e)))  # (N, H, W, C)

    def unwire(self, b: Any, dy: Tree) -> Tree:
        dh, de1 = b.u1(b.out(dy))
        dh, ds1 = b.join(dh)
        dh, de2 = b.u2(b.up1(dh))
        dh, ds2 = b.join(dh)
        dh, de3 = b.u3(b.up2(dh))
        dh, ds3 = b.join(dh)
        dh, de4 = b.mid(dh)
        dh, de5 = b.d3(add(ds3, b.att(dh)))
        dh, de6 = b.d2(add(ds2, b.down2(dh)))
        dh, de7 = b.d1(add(ds1, b.down1(dh)))
        dx = b.stem(dh, need_dx=b.need_dx)
        de = b.silu(add(de1, de2, de3, de4, de5, de6, de7))
        dlabel = (b.label(de),) if self.classes else ()
        return dx, b.time(de, need_dx=b.need_dx), *dlabel
