"""A small convolutional classifier: the ruler that samples of other models are held against.

    x -- shift -- conv 3/1/1, 32 -- conv 3/2/1, 64 -- max 2 -- dense --> 128 features -- dense --> logits over the classes

The loss is -log p(label), with p the softmax of the logits. It generates nothing. It says which class a sample shows, and its
features, the numbers before the last layer, are a space in which sets of images can be compared.

N batch, K classes, F features, (H, W, C) an image with values in [0, 1].
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from .. import optim
from ..backend import Array, Shape
from ..layers.augment import RandomShift
from ..layers.composite import Sequential
from ..layers.conv2d import Conv2d
from ..layers.dropout import Dropout
from ..layers.elementwise import ReLU
from ..layers.linear import Linear
from ..layers.pooling import MaxPool2d
from ..layers.shape import Flatten
from ..losses import categorical, log_softmax
from ..random import Key
from .labelled import Labelled, labelled
from .model import Model, Recipe
from .objective import Forwarder, Forwards, Objective, Terms

BLOCK = 250  # images that are looked at together: a larger set needs no more memory


class ClassifierNoise(NamedTuple):
    key: Key  # for the shifts and for dropout


class CrossEntropy(Objective):
    """-log p(label), nats per image."""

    name, updates = "cross_entropy", ("trunk", "head")

    def draw(self, model: Classifier, batch: Labelled, key: Key, forwards: Forwards | None = None) -> ClassifierNoise:
        return ClassifierNoise(key)

    def __call__(
        self,
        model: Classifier,
        batch: Labelled,
        noise: ClassifierNoise,
        *,
        train: bool = True,
        backward: bool = True,
        scale: float = 1.0,
        forwards: Forwards | None = None,
    ) -> tuple[Terms, Forwards]:
        forward = Forwarder(model, forwards, train=train, key=noise.key)
        features, trunk_cache = forward("trunk", batch.images)  # (N, F)
        logits, head_cache = forward("head", features)  # (N, K)

        loss, dlogits = categorical(logits, batch.labels, scale=scale)
        if backward:
            dfeatures = model.head.backward(dlogits, head_cache)
            model.trunk.backward(dfeatures, trunk_cache, need_dx=False)
        return {"cross_entropy": loss}, forward.made(self.updates)


class Classifier(Model):
    """Adam with a cosine schedule; images shifted by up to `shift` pixels, a part `dropout` of the features dropped.

    Raises ValueError where images cannot be halved twice.
    """

    name = "classifier"
    recipe = Recipe(
        family="classifier",
        data=("glyphs", "mnist", "fashion_mnist", "glyphs_colour"),
        batch=128,
        steps=2000,
        rate=2e-3,
        lesson="",
        options={"classes": 10, "width": 32, "features": 128, "shift": 1, "dropout": 0.25},
        objectives=("cross_entropy",),
        by_data={"mnist": {"steps": 3000}},
    )
    unit = "nats per image"
    trunk: Sequential
    head: Sequential

    def __init__(
        self,
        shape: Shape,
        key: Key,
        dtype: DTypeLike = np.float32,
        *,
        classes: int = 10,
        width: int = 32,
        features: int = 128,
        shift: int = 1,
        dropout: float = 0.25,
    ) -> None:
        if len(shape) != 3 or shape[0] % 4 or shape[1] % 4:
            raise ValueError(f"{self.name} halves images twice, so it needs (H, W, C), H and W multiples of 4; got {shape}")
        H, W, C = shape
        self.shape, self.classes = shape, classes
        trunk = Sequential(
            shift=RandomShift(shift),
            conv1=Conv2d(C, width, 3, padding=1, activation=ReLU()),  # (N, H, W, width)
            conv2=Conv2d(width, 2 * width, 3, stride=2, padding=1, activation=ReLU()),  # (N, H/2, W/2, 2 width)
            pool=MaxPool2d(2),  # (N, H/4, W/4, 2 width)
            flat=Flatten(),
            dense=Linear(H // 4 * (W // 4) * 2 * width, features, activation=ReLU()),  # (N, F)
        )
        head = Sequential(dropout=Dropout(dropout), out=Linear(features, classes))
        super().__init__(key, dtype, trunk=trunk, head=head)
        self.objectives = (CrossEntropy(),)

    def start(self, rate: float, steps: int) -> None:
        self.optimize(adam=optim.Adam(self, rate=optim.cosine_decay(rate, steps)))

    def step(self, batch: Labelled, key: Key) -> Terms:
        (cross_entropy,) = self.objectives
        noise = cross_entropy.draw(self, batch, key)

        self.zero_grads()
        terms, forwards = cross_entropy(self, batch, noise)
        self.optimizers["adam"].step()
        self.commit(noise, forwards)
        return terms

    def batch_of(self, batch: Any) -> Labelled:
        """Images and labels. Raises ValueError where there are no labels."""
        return labelled(batch, self.name, self.classes)

    def evaluate(self, batch: Labelled, key: Key) -> Terms:
        """The cross-entropy, and the part of the rows whose most probable class is their label."""
        logits = self.logits(batch.images)
        return {
            "cross_entropy": categorical(logits, batch.labels)[0],
            "accuracy": (logits.argmax(-1) == batch.labels).mean(),
        }

    # ---- what it is used for

    def logits(self, x: Array) -> Array:
        """(N, H, W, C) -> (N, K)."""
        return self.head.forward(self.features(x))[0]

    def features(self, x: Array) -> Array:
        """The numbers before the last layer: (N, H, W, C) -> (N, F)."""
        return in_blocks(lambda part: self.trunk.forward(part)[0], x)

    def probabilities(self, x: Array) -> Array:
        """p of every class: (N, H, W, C) -> (N, K)."""
        return np.exp(log_softmax(self.logits(x)))

    def predict(self, x: Array) -> Array:
        """The most probable class: (N, H, W, C) -> (N,) integers."""
        return self.logits(x).argmax(-1)

    def pictures(self, batch: Any, key: Key) -> dict[str, Array]:
        """The held-out rows of `batch`, the one whose label is least probable first."""
        if batch.labels is None or len(batch.images) < 8:
            return {}
        x, labels = self.batch_of(batch)
        p = np.take_along_axis(self.probabilities(x), labels[:, None], 1)[:, 0]  # (N,)
        n = len(x) // 8 * 8
        return {"hardest_first": x[p.argsort()[:n]].reshape(-1, 8, *self.shape)}


def in_blocks(f: Callable[[Array], Array], x: Array) -> Array:
    """f(x) row by row, some rows at a time: no more memory for a large set than for a small one."""
    return np.concatenate([f(x[start : start + BLOCK]) for start in range(0, max(1, len(x)), BLOCK)])
