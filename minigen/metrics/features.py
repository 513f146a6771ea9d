"""The space in which sets of images are compared: what a classifier that minigen trained itself sees in them.

Distances between pixels call an image that moved by a pixel another image. The features of a classifier, the numbers before its
last layer, do not. But every space is a choice, and figures of two spaces cannot be compared. So a space says what it is: the
data and the recipe of its classifier, its accuracy, and a checksum of its weights; and figures carry its name,

    classifier:mnist:4f0c1a92       kind, data, the first 32 bits of the checksum

The checksum is SHA-256 of the names, shapes and float32 values of the weights, in the order of their names: the same on every
machine for the same weights. The same recipe gives other weights where a sum is rounded otherwise, and thereby another space.

N images, F features, K classes. `minigen.training.ruler` trains the classifier.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..backend import Array, Shape, to_device
from ..models.classifier import Classifier
from .blocks import in_blocks


@dataclass(frozen=True, eq=False)
class FeatureSpace:
    """A trained classifier, and how it came about."""

    model: Classifier
    data: str
    recipe: Mapping[str, Any]  # the settings of its training, the seed among them
    accuracy: float  # the share of the test split's rows that it calls by their label
    rows: int  # of the test split

    @property
    def digest(self) -> str:
        """The checksum of its weights, 64 hexadecimal digits."""
        return digest_of(self.model)

    @property
    def name(self) -> str:
        """What a figure's protocol calls it."""
        return f"classifier:{self.data}:{self.digest[:8]}"

    def features(self, images: Array, block: int = 250) -> Array:
        """(N, H, W, C) in [0, 1] -> (N, F) float64, `block` images at a time."""
        return self._of(self.model.features, images, block)

    def probabilities(self, images: Array, block: int = 250) -> Array:
        """(N, H, W, C) in [0, 1] -> (N, K) float64, the probability of each class."""
        return self._of(self.model.probabilities, images, block)

    def classes(self, images: Array, block: int = 250) -> Array:
        """(N, H, W, C) in [0, 1] -> (N,) int64, the most probable class."""
        return self.probabilities(images, block).argmax(1)

    def published(self) -> dict[str, Any]:
        """What has to stand beside its figures, ready for JSON."""
        about = {
            "name": self.name,
            "data": self.data,
            "recipe": dict(self.recipe),
            "features": self.model.vector.views(self.model.theta)["head.out.W"].shape[0],
        }
        return {**about, "accuracy": self.accuracy, "test_rows": self.rows, "sha256": self.digest}

    def _of(self, function: Callable[[Array], Array], images: Array, block: int) -> Array:
        check(images, self.model.shape, self.name)
        wide: Array = in_blocks(lambda part: function(part.astype(np.float32)), to_device(images, "cpu"), block).astype(
            np.float64
        )
        return wide


def check(images: Array, shape: Shape, name: str) -> None:
    """Raises ValueError where images are not (N, *shape) in [0, 1], as the classifier was trained on."""
    if images.shape[1:] != shape:
        raise ValueError(f"{name} looks at images {shape}, got {images.shape}")
    low, high = (float(images.min()), float(images.max())) if images.size else (0.0, 0.0)
    if not (low >= 0 and high <= 1):  # NaN is neither
        raise ValueError(f"{name} looks at pixels in [0, 1], got {low:g} to {high:g}: samples in [-1, 1] become (x + 1) / 2")


def digest_of(model: Classifier) -> str:
    """SHA-256 of a model's parameters, by name."""
    sha = hashlib.sha256()
    for name, view in sorted(model.vector.views(model.theta).items()):
        sha.update(f"{name}{view.shape}".encode())
        sha.update(np.ascontiguousarray(to_device(view, "cpu"), "<f4").tobytes())
    return sha.hexdigest()
