"""The autoencoder, dense: 784-64-784. Reduce an image to a code, and pay for what does not come back.

    x -- encoder --> code -- decoder --> logits -- sigmoid --> y;      loss = sum over pixels of (y - x)^2, averaged over images

With a linear encoder and decoder and no sigmoid, the best that can be done is known: the subspace of the leading principal
components (Baldi and Hornik 1989). `linear=True` builds that model, and a test holds it against PCA. Derived in
lessons/01_autoencoder.py.

N batch, K codes, "..." the axes of an image, P pixels.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from .. import optim
from ..backend import Array, Shape
from ..layers.composite import Sequential
from ..layers.elementwise import LeakyReLU, Sigmoid
from ..layers.layer import Layer
from ..layers.linear import Linear
from ..layers.shape import Flatten, Reshape
from ..losses import mse
from ..random import Key
from .latent import line
from .model import Model, Recipe
from .objective import Forwards, Objective, Terms


class ReconstructionNoise(NamedTuple):
    corrupted: Array  # (N, ...): what the encoder sees; the image itself where nothing is corrupted


class Reconstruction(Objective):
    """The squared error of the reconstruction, summed over the pixels of an image, averaged over images.

    mean squared error per pixel = this / P. The target is the clean image.
    """

    name, updates = "reconstruction", ("encoder", "decoder")

    def draw(self, model: Autoencoder, batch: Array, key: Key, forwards: Forwards | None = None) -> ReconstructionNoise:
        return ReconstructionNoise(corrupted=model.corrupt(batch, key.at("corrupt")))

    def __call__(
        self,
        model: Autoencoder,
        batch: Array,
        noise: ReconstructionNoise,
        *,
        train: bool = True,
        backward: bool = True,
        scale: float = 1.0,
        forwards: Forwards | None = None,
    ) -> tuple[Terms, Forwards]:
        encoded = (forwards or {}).get("encoder") or model.encoder.forward(noise.corrupted, train=train)
        code, encoder_cache = encoded  # (N, K)
        y, decoder_cache = model.decoder.forward(code, train=train)  # (N, ...)

        pixels = math.prod(batch.shape[1:])
        error, dy = mse(y, batch, scale=scale * pixels)
        if backward:
            dcode = model.decoder.backward(dy, decoder_cache)
            model.encoder.backward(dcode, encoder_cache, need_dx=False)
        return {"squared_error": pixels * error}, {"encoder": encoded, "decoder": (y, decoder_cache)}


def mean_squares(y: Array, x: Array) -> Array:
    """The mean over each row of (y - x)^2: (N, ...), (N, ...) -> (N,)."""
    error = (y - x).reshape(len(x), -1)
    return (error * error).mean(1)


class Autoencoder(Model):
    """One layer to the code (LeakyReLU, of which no unit can die), one layer back (sigmoid).

    `hidden` > 0 puts a layer of that width between image and code, on both sides. `linear` leaves out all that bends.
    """

    name = "autoencoder"
    recipe = Recipe(
        family="autoencoder",
        data=("glyphs", "mnist", "fashion_mnist"),
        batch=128,
        steps=4000,
        rate=2e-3,
        lesson="01",
        options={"codes": 64, "hidden": 0, "linear": False},
        objectives=("reconstruction",),
    )
    unit = "squared error"
    encoder: Layer
    decoder: Layer

    def __init__(
        self,
        shape: Shape,
        key: Key,
        dtype: DTypeLike = np.float32,
        *,
        codes: int = 64,
        hidden: int = 0,
        linear: bool = False,
    ) -> None:
        self.shape, self.codes, self.hidden, self.linear = shape, codes, hidden, linear
        encoder, decoder = self.networks()
        super().__init__(key, dtype, encoder=encoder, decoder=decoder)
        self.objectives = (Reconstruction(),)

    def networks(self) -> tuple[Layer, Layer]:
        """The encoder (N, *shape) -> (N, K) and the decoder (N, K) -> (N, *shape)."""
        widths = [math.prod(self.shape), *([self.hidden] if self.hidden else []), self.codes]
        encoder, decoder = Sequential(flat=Flatten()), Sequential()
        for i, (wide, narrow) in enumerate(pairwise(widths), 1):
            encoder.layers[f"linear{i}"] = Linear(wide, narrow)
            if not self.linear:
                encoder.layers[f"leaky{i}"] = LeakyReLU(0.2)
        for i, (narrow, wide) in enumerate(pairwise(widths[::-1]), 1):
            decoder.layers[f"linear{i}"] = Linear(narrow, wide)
            if not self.linear:
                decoder.layers[f"bend{i}"] = LeakyReLU(0.2) if i < len(widths) - 1 else Sigmoid()
        decoder.layers["shape"] = Reshape(*self.shape)
        return encoder, decoder

    def corrupt(self, x: Array, key: Key) -> Array:
        """What the encoder sees of x: x itself."""
        return x

    def start(self, rate: float, steps: int) -> None:
        self.optimize(adam=optim.Adam(self, rate=optim.cosine_decay(rate, steps)))

    def step(self, batch: Array, key: Key) -> Terms:
        (reconstruction,) = self.objectives
        noise = reconstruction.draw(self, batch, key)

        self.zero_grads()
        terms, forwards = reconstruction(self, batch, noise)
        self.optimizers["adam"].step()
        self.commit(noise, forwards)
        return terms

    # ---- what it is used for

    def encode(self, x: Array) -> Array:
        """Codes (N, K)."""
        return self.encoder.forward(x)[0]

    def decode(self, code: Array) -> Array:
        """Images (N, *shape) of codes (N, K)."""
        return self.decoder.forward(code)[0]

    def reconstruct(self, x: Array) -> Array:
        """decode(encode(x))."""
        return self.decode(self.encode(x))

    def interpolate(self, a: Array, b: Array, steps: int) -> Array:
        """decode on the straight line from the code of image a to that of image b: (steps, *shape)."""
        ends = self.encode(np.stack((a, b)))  # (2, K)
        return self.decode(line(ends, steps))

    def evaluate(self, batch: Any, key: Key) -> Terms:
        """The squared error of an image, and of a pixel: its mean squared error."""
        terms = super().evaluate(batch, key)
        return terms | {"per_pixel": terms["squared_error"] / math.prod(self.shape)}

    def pictures(self, batch: Any, key: Key) -> dict[str, Array]:
        """Rows of images: what went in, what the encoder saw where that differs, what came back; ways from image to image."""
        x = self.batch_of(batch)
        x = x[: min(32, len(x) // 8 * 8)]
        if not len(x):
            return {}
        seen = self.corrupt(x, key)
        strips = (x, self.reconstruct(x)) if seen is x else (x, seen, self.reconstruct(seen))
        groups = np.stack([strip.reshape(-1, 8, *self.shape) for strip in strips], 1)
        ways = [self.interpolate(x[i], x[i + 1], 8) for i in range(0, len(x), 2)]
        pictures = {"reconstructions": groups.reshape(-1, 8, *self.shape), "interpolation": np.stack(ways)}
        return {name: grid.clip(0, 1) for name, grid in pictures.items()}
