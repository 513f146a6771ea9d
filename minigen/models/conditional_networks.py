"""The networks of `conditional_gan`: the shapes of `dcgan`, told the class.

N batch, L latents, K classes, W width of G's embedding, F features of D, (H, W, C) an image in [-1, 1].
"""

from __future__ import annotations

from typing import Any

from ..layers.batch_norm import BatchNorm
from ..layers.combine import Concatenate
from ..layers.composite import Composite, Sequential
from ..layers.conv2d import Conv2d, ConvTranspose2d
from ..layers.elementwise import LeakyReLU, ReLU, Tanh
from ..layers.embedding import Embedding
from ..layers.initialisers import normal
from ..layers.inner_product import InnerProduct
from ..layers.linear import Linear
from ..layers.shape import Flatten, Reshape
from ..layers.tree import Tree
from ..layers.wiring import add


class ConditionalGenerator(Composite):
    """(z, y) -> images: (N, L), (N,) -> (N, H, W, C) in (-1, 1)."""

    def __init__(self, latents: int, classes: int, width: int, shape: tuple[int, int, int]) -> None:
        super().__init__()
        H, W, C = shape
        self.label, self.join = Embedding(classes, width), Concatenate()
        self.net = Sequential(
            dense=Linear(latents + width, H // 4 * (W // 4) * 128, bias=False),
            shape=Reshape(H // 4, W // 4, 128),
            norm0=BatchNorm(128, activation=ReLU()),
            conv1=ConvTranspose2d(128, 64, 4, stride=2, padding=1, bias=False),  # (N, H/2, W/2, 64)
            norm1=BatchNorm(64, activation=ReLU()),
            conv2=ConvTranspose2d(64, C, 4, stride=2, padding=1),  # (N, H, W, C)
            tanh=Tanh(),
        )

    def wire(self, f: Any, x: Tree) -> Tree:
        z, y = x
        return f.net(f.join((z, f.label(y))))

    def unwire(self, b: Any, dy: Tree) -> Tree:
        dz, dlabel = b.join(b.net(dy))
        return dz, b.label(dlabel)


def trunk(channels: int, shape: tuple[int, int, int]) -> Sequential:
    """(N, H, W, channels) -> (N, F): what D looks with."""
    return Sequential(
        conv1=Conv2d(channels, 64, 4, stride=2, padding=1, activation=LeakyReLU(0.2)),  # (N, H/2, W/2, 64)
        conv2=Conv2d(64, 128, 4, stride=2, padding=1, bias=False),  # (N, H/4, W/4, 128)
        norm2=BatchNorm(128, activation=LeakyReLU(0.2)),
        flat=Flatten(),
    )


class ChannelDiscriminator(Composite):
    """(images, y) -> logits: (N, H, W, C), (N,) -> (N, 1). The label is one more channel of the image."""

    def __init__(self, classes: int, shape: tuple[int, int, int]) -> None:
        super().__init__()
        H, W, C = shape
        self.label, self.paint, self.join = Embedding(classes, H * W), Reshape(H, W, 1), Concatenate()
        self.trunk = trunk(C + 1, shape)
        self.out = Linear(H // 4 * (W // 4) * 128, 1)

    def wire(self, f: Any, x: Tree) -> Tree:
        images, y = x
        return f.out(f.trunk(f.join((images, f.paint(f.label(y))))))

    def unwire(self, b: Any, dy: Tree) -> Tree:
        dimages, dpainted = b.join(b.trunk(b.out(dy)))
        return dimages, b.label(b.paint(dpainted))


class ProjectionDiscriminator(Composite):
    """(images, y) -> logits: (N, H, W, C), (N,) -> (N, 1), out(h) + <E[y], h>."""

    def __init__(self, classes: int, shape: tuple[int, int, int]) -> None:
        super().__init__()
        H, W, C = shape
        features = H // 4 * (W // 4) * 128
        self.trunk = trunk(C, shape)
        self.out, self.inner = Linear(features, 1), InnerProduct()
        self.label = Embedding(classes, features, initialiser=normal(0.02))

    def wire(self, f: Any, x: Tree) -> Tree:
        images, y = x
        h = f.trunk(images)  # (N, F)
        return add(f.out(h), f.inner((f.label(y), h)))

    def unwire(self, b: Any, dy: Tree) -> Tree:
        dlabel, dh = b.inner(dy)
        dy_label = b.label(dlabel)
        return b.trunk(add(dh, b.out(dy)), need_dx=b.need_dx), dy_label
