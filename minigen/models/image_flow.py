"""What flows of images have in common: dequantisation, the logit, the likelihood in bits, and what is done with z.

An image is integers 0 .. 255, and a flow has a density on the line, which would grow without bound on 256 points. So noise
fills the gaps (Uria et al. 2013; Theis et al. 2016): with u uniform on [0, 1), drawn anew each time, v = (pixel + u) / 256 is
spread over [0, 1), and by Jensen's inequality

    log P(x) = log E_u [ p(v) 256^-D ] >= E_u [ log p(v) ] - D log 256          256^-D is the volume that u fills, in v

    v -- logit --> y -- flow --> z          log p(v) = log N(z; 0, 1) + logdet of the flow + logdet of the logit

Divided by -D log 2 the right side is the figure that the field reports: bits per dimension.

N batch, D = H W C numbers of an image.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from .. import optim
from ..backend import Array, Shape
from ..layers.bijection import Bijection
from ..layers.logit import Logit
from ..layers.tree import Tree, map_tree
from ..random import Key
from .flow import NegativeLogLikelihood, NormalizingFlow, log_normal
from .objective import Forwards, Terms, total

WARMUP = 200  # steps in which the learning rate rises: the first gradients are the largest
TEMPERATURES = 0.25, 0.5, 0.7, 0.8, 0.9, 1.0  # of the rows of a picture


class DequantisationNoise(NamedTuple):
    u: Array  # like the batch, uniform on [0, 1)


class ImageLikelihood(NegativeLogLikelihood):
    """E_u [ -log p(v) ] + D log 256, nats per image: an upper bound of -log P(x), tight where p is flat within a cell.

    The likelihood of y, with a third term for what lies between the pixels and y: the two volumes, no parameter in them.
    """

    def draw(self, model: ImageFlow, batch: Array, key: Key, forwards: Forwards | None = None) -> DequantisationNoise:
        return DequantisationNoise(u=key.at("u").uniform(batch.shape, like=batch))

    def __call__(self, model: Any, batch: Array, noise: DequantisationNoise, **options: Any) -> tuple[Terms, Forwards]:
        y, logit_logdet = model.logit.of_pixels(batch, noise.u)  # (N, H, W, C), (N,)
        terms, forwards = super().__call__(model, y, noise, **options)
        return {**terms, "pixels": math.prod(model.shape) * math.log(256) - logit_logdet.mean()}, forwards


class ImageFlow(NormalizingFlow):
    """A flow of images: `flow` works on their logits, and z is one array a level, of `z_shapes`."""

    unit = "nats per image; bits per dimension"

    def __init__(
        self, shape: Shape, key: Key, dtype: DTypeLike, flow: Bijection, z_shapes: Sequence[Shape], alpha: float
    ) -> None:
        self.shape, self.z_shapes, self.logit = tuple(shape), tuple(z_shapes), Logit(alpha)
        super().__init__(key, dtype, flow=flow)
        self.objectives = (ImageLikelihood(),)

    def start(self, rate: float, steps: int) -> None:
        rising, falling = optim.warmup(rate, WARMUP), optim.cosine_decay(1.0, steps)
        self.optimize(adam=optim.Adam(self, rate=lambda t: rising(t) * falling(t)))

    def data_init(self, batch: Array, key: Key) -> None:
        y, _ = self.logit.of_pixels(batch, key.at("u").uniform(batch.shape, like=batch))
        self.flow.data_init(y, key.at("flow"))

    def evaluate(self, batch: Array, key: Key) -> Terms:
        """The bound in nats per image, and the same number in bits per dimension."""
        (likelihood,) = self.objectives
        nats = total(likelihood(self, batch, likelihood.draw(self, batch, key), train=False, backward=False)[0])
        return {"negative_log_likelihood": nats, "bits_per_dimension": nats / (math.prod(self.shape) * math.log(2))}

    # ---- what it is used for

    def log_prob(self, x: Array) -> Array:
        """(N, H, W, C) -> (N,): log p of the density of dequantised images, x in [0, 1], exact."""
        (y, logit_logdet), _ = self.logit.forward(x)
        (z, logdet), _ = self.flow.forward(y)
        log_p: Array = log_normal(z) + logdet + logit_logdet
        return log_p

    def encode(self, x: Array) -> Tree:
        """z of images in [0, 1], their pixels in the middle of their cells."""
        return super().encode(self.logit.of_pixels(x, np.full_like(x, 0.5))[0])

    def decode(self, z: Tree) -> Array:
        """The images of z, in [0, 1]."""
        images: Array = self.logit.inverse(super().decode(z))[0].clip(0, 1)
        return images

    def latent(self, n: int, key: Key) -> Tree:
        """z of n images from N(0, 1), one array a level."""
        return tuple(key.at(i).normal((n, *shape), like=self.theta) for i, shape in enumerate(self.z_shapes))

    def temperatures(self, n: int, key: Key) -> Array:
        """The images of the same n draws, at one temperature a row: (T, n, H, W, C)."""
        z = self.latent(n, key)
        rows = [self.decode(map_tree(lambda part: t * part, z)) for t in TEMPERATURES]  # noqa: B023  called at once
        return np.stack(rows)

    def pictures(self, batch: Any, key: Key) -> dict[str, Array]:
        x = self.batch_of(batch)
        pictures = {
            "samples": self.sample(64, key.at("samples")).reshape(8, 8, *self.shape),
            "temperatures": self.temperatures(8, key.at("temperatures")),
        }
        if len(x) >= 16:
            pictures["interpolation"] = np.stack([self.interpolate(x[2 * i], x[2 * i + 1], 8) for i in range(8)])
        return pictures


def check_sides(name: str, shape: Shape, levels: int, halvings: int) -> None:
    """ValueError unless `shape` is an image's, whose sides can be halved so many times."""
    if levels < 1:
        raise ValueError(f"{name} has at least one level, got levels={levels}")
    if len(shape) != 3:
        raise ValueError(f"{name} is for images (H, W, C), got rows of shape {shape}: realnvp is for points")
    if shape[0] % 2**halvings or shape[1] % 2**halvings:
        raise ValueError(
            f"{name} with levels={levels} halves images {halvings} times, so it needs sides that are multiples of "
            f"{2**halvings}, and got {shape[0]} x {shape[1]}: choose fewer levels, or data of another size"
        )
