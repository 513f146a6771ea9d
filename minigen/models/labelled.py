"""What a model that learns from labels takes of a batch, and of who asks it for classes. N rows, K classes."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..backend import Array, device_of, to_device


class Labelled(NamedTuple):
    """Images and their labels."""

    images: Array  # (N, H, W, C)
    labels: Array  # (N,) integers, 0 .. K - 1


def labelled(batch: Any, name: str, classes: int) -> Labelled:
    """The images and labels of a batch for the model called `name`, which was made for K = `classes`.

    Raises ValueError where the rows have no labels, or one that is not in 0 .. K - 1.
    """
    labels = batch.labels
    if labels is None:
        raise ValueError(f"{name} learns from labels, and these rows have none: choose data that has them, such as glyphs")
    # On a GPU the check would wait for the device.
    if device_of(labels) == "cpu" and labels.size and not (labels.min() >= 0 and labels.max() < classes):
        raise ValueError(
            f"{name} was made for classes 0 .. {classes - 1}, and a label here is "
            f"{labels.min() if labels.min() < 0 else labels.max()}: its option `classes` must be larger than every label"
        )
    return Labelled(batch.images, labels)


def asked_for(labels: Any, classes: int, name: str, like: Array) -> Array:
    """Labels (N,) that someone asks the model called `name` for: integers, beside `like`.

    Raises ValueError on one that is not in 0 .. K - 1.
    """
    y = np.asarray(to_device(labels, "cpu"), np.int64)
    if y.size and not (y.min() >= 0 and y.max() < classes):
        raise ValueError(f"{name} has classes 0 .. {classes - 1}, and was asked for {y.min()} .. {y.max()}")
    return to_device(y, device_of(like))
