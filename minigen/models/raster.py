"""Autoregressive models of images: the chain rule of probability along the pixels in raster order (row by row).

    log p(x) = sum over t of log p(x_t | x_1, ..., x_(t-1))

A network that puts out the distribution of every pixel, and looks at none that comes later, gives all terms at once: the
likelihood is exact, and training is one forward and one backward pass. Sampling is one pixel after the other. What a pixel's
logits need of the pixels before it is kept in the memory of a stream (layers/layer.py), so that a pixel costs the same wherever
it lies.

N batch, (H, W, 1) an image, t = i W + j the pixel in row i and column j.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import DTypeLike

from .. import optim
from ..backend import Array, Shape, zeros
from ..layers.layer import Layer
from ..random import Key
from .labelled import Labelled, asked_for, labelled
from .model import Model
from .objective import Forwarder, Forwards, Objective, Terms
from .pixels import Levels

BLOCK = 250  # images whose likelihood is computed together
Predict: TypeAlias = Callable[[Array, int, int], Array]  # (images so far, i, j) -> logits of that pixel


class NegativeLogLikelihood(Objective):
    """-log p(x) in nats per image: the sum over all pixels, the mean over the batch."""

    name, updates = "nll", ("net",)

    def __call__(
        self,
        model: RasterModel,
        batch: Any,
        noise: None,
        *,
        train: bool = True,
        backward: bool = True,
        scale: float = 1.0,
        forwards: Forwards | None = None,
    ) -> tuple[Terms, Forwards]:
        forward = Forwarder(model, forwards, train=train)
        logits, cache = forward("net", batch)  # (N, H, W, logits)
        loss, dlogits = model.levels.loss(logits, batch.images if model.classes else batch, scale=scale)
        if backward:
            model.net.backward(dlogits, cache, need_dx=False)
        return {"nll": loss}, forward.made(self.updates)


class RasterModel(Model):
    """What all of them have in common: all but the network `net` and `predictor`, its stream.

    Pixels become the nearest of `levels` levels of grey; for black and white by chance, let the data be binarised
    (data/binarise.py). With `classes`, the network takes (images, labels) and gives p(x | y).
    """

    unit = "nats per image"
    net: Layer

    def __init__(self, shape: Shape, key: Key, dtype: DTypeLike, net: Layer, levels: Levels, classes: int = 0) -> None:
        if len(shape) != 3 or shape[2] != 1:
            raise ValueError(f"{self.name} models grey images, (H, W, 1), and these are {shape}: choose other data")
        self.shape, self.levels, self.classes = shape, levels, classes
        super().__init__(key, dtype, net=net)
        self.objectives = (NegativeLogLikelihood(),)

    def start(self, rate: float, steps: int) -> None:
        self.optimize(adam=optim.Adam(self, rate=optim.cosine_decay(rate, steps) if steps else rate))

    def step(self, batch: Any, key: Key) -> Terms:
        (nll,) = self.objectives
        noise = nll.draw(self, batch, key)  # there is none

        self.zero_grads()
        terms, forwards = nll(self, batch, noise)
        self.optimizers["adam"].step()
        self.commit(noise, forwards)
        return terms

    def batch_of(self, batch: Any) -> Any:
        """The images, each pixel at its nearest level; with classes, their labels too."""
        images = self.levels.nearest(batch.images)
        return Labelled(images, labelled(batch, self.name, self.classes).labels) if self.classes else images

    # ---- what it is used for

    def log_likelihood(self, batch: Any) -> Array:
        """log p of every image in nats, (N,), of images whose pixels are levels; with classes log p(x | y), of both."""
        images = batch.images if self.classes else batch
        parts = [slice(start, start + BLOCK) for start in range(0, len(images), BLOCK)]
        seen = [Labelled(images[part], batch.labels[part]) if self.classes else images[part] for part in parts]
        each = [self.levels.log_p(self.net.forward(x)[0], images[part]) for x, part in zip(seen, parts, strict=True)]
        return np.concatenate(each) if each else np.zeros(0)

    def predictor(self, n: int, labels: Array | None) -> Predict:
        """Streams n images: a function that is asked for the pixels in raster order, and looks at those before."""
        raise NotImplementedError(f"{type(self).__name__}.predictor is not written")

    def draw(
        self, n: int, key: Key, *, labels: Array | None = None, given: Array | None = None, rows: int = 0
    ) -> tuple[Array, Array]:
        """n images (n, H, W, 1), and the logits met on the way, (n, H, W, logits); the first `rows` are those of `given`.

        Labels are the classes in turn where none are named.
        """
        H, W, _ = self.shape
        if self.classes and labels is None:
            labels = np.arange(n) % self.classes
        images = zeros((n, H, W, 1), self.dtype, like=self.theta)
        logits = zeros((n, H, W, self.levels.logits), self.dtype, like=self.theta)
        u = key.uniform((n, H, W), self.dtype, like=self.theta)
        predict = self.predictor(n, labels)
        for i, j in np.ndindex(H, W):
            logits[:, i, j] = predict(images, i, j)
            known = given is not None and i < rows
            images[:, i, j] = given[:, i, j] if known else self.levels.draw(logits[:, i, j], u[:, i, j])  # type: ignore[index]
        return images, logits

    def sample(self, n: int, key: Key) -> Array:
        return self.draw(n, key)[0]

    def sample_class(self, labels: Any, key: Key) -> Array:
        """An image (N, H, W, 1) of each of these classes (N,). Raises ValueError as `Model.sample_class` does."""
        if not self.classes:
            return super().sample_class(labels, key)  # which refuses
        return self.draw(len(labels), key, labels=asked_for(labels, self.classes, self.name, self.theta))[0]

    def complete(self, x: Array, rows: int, key: Key, labels: Array | None = None) -> Array:
        """The first `rows` of the images x (N, H, W, 1), and a sample of the rest given them."""
        return self.draw(len(x), key, labels=labels, given=self.levels.nearest(x), rows=rows)[0]

    def pictures(self, batch: Any, key: Key) -> dict[str, Array]:
        """64 samples, a class a column where there are some; and test images, each over completions of its upper half."""
        n = max(8, self.classes)
        pictures = {"samples": self.sample(8 * n, key.at("samples")).reshape(8, n, *self.shape)}
        if len(batch.images) >= 8:
            seen, middle = self.batch_of(batch), self.shape[0] // 2
            x = (seen.images if self.classes else seen)[:8]
            labels = np.tile(seen.labels[:8], 4) if self.classes else None
            completed = self.complete(np.tile(x, (4, 1, 1, 1)), middle, key.at("completions"), labels)
            pictures["completions"] = np.concatenate((x, completed)).reshape(5, 8, *self.shape)
        return pictures


def before(images: Array, i: int, j: int) -> Array:
    """The pixel before (i, j) in raster order, (N, C); before the first one, any."""
    return images[:, i, j - 1] if j else images[:, i - 1, -1]
