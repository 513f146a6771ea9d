"""The denoising autoencoder (Vincent et al. 2008): see a corrupted image, answer with the clean one.

    x -- corrupt --> seen -- encoder --> code -- decoder --> y;        loss = sum over pixels of (y - x)^2, averaged over images

The best answer is the mean of the images that could have become what is seen, E[x | seen]. So y - seen points from what is no
image towards what is. With Gaussian noise that direction is known, (y - seen) / sigma^2 = the gradient of the log density of
seen images (Vincent 2011; Alain and Bengio 2014): denoising learns where the data lie. lessons/01_autoencoder.py measures it.

The corruption is drawn in `draw`, so that at fixed noise the loss is an ordinary function of the parameters.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ..backend import Array, Shape
from ..kernels import combine
from ..random import Key
from .autoencoder import Autoencoder, mean_squares
from .model import Recipe
from .objective import Terms


def masking(x: Array, amount: float, key: Key) -> Array:
    """Each pixel becomes 0 with probability `amount` (Vincent et al. 2008)."""
    return combine.add(x, (-1, key.bernoulli(amount, x.shape, x.dtype, like=x), x))


def gaussian(x: Array, amount: float, key: Key) -> Array:
    """x + amount eps, eps ~ N(0, 1); not clipped, so that the noise stays Gaussian."""
    return combine.add(x, (amount, key.normal(x.shape, like=x)))


def salt_and_pepper(x: Array, amount: float, key: Key) -> Array:
    """Each pixel is replaced with probability `amount`: by 0 or by 1, at even odds."""
    hit, salt = (key.bernoulli(p, x.shape, x.dtype, like=x) for p in (amount, amount / 2))  # of one key: of the same numbers
    return combine.add(x, (-1, hit, x), salt)


CORRUPTIONS: dict[str, Callable[[Array, float, Key], Array]] = {
    "masking": masking,
    "gaussian": gaussian,
    "salt_and_pepper": salt_and_pepper,
}


class DenoisingAutoencoder(Autoencoder):
    """The networks of `autoencoder`, with a hidden layer; `noise` is one of CORRUPTIONS, `amount` its probability or deviation.

    Raises ValueError on another noise, and an amount that is negative, or above 1 where it is a probability.
    """

    name = "denoising_autoencoder"
    recipe = Recipe(
        family="autoencoder",
        data=("glyphs", "mnist", "fashion_mnist"),
        batch=128,
        steps=4000,
        rate=2e-3,
        lesson="01",
        options={"codes": 64, "hidden": 512, "noise": "masking", "amount": 0.5},
        objectives=("reconstruction",),
    )

    unit = "squared error; psnr in decibels"

    def __init__(
        self,
        shape: Shape,
        key: Key,
        dtype: DTypeLike = np.float32,
        *,
        codes: int = 64,
        hidden: int = 512,
        noise: str = "masking",
        amount: float = 0.5,
    ) -> None:
        if noise not in CORRUPTIONS:
            raise ValueError(f"unknown noise {noise!r}: choose {', '.join(CORRUPTIONS)}")
        if not 0 <= amount <= (np.inf if noise == "gaussian" else 1):
            raise ValueError(f"amount is {amount:g}: of {noise} noise it is " + _AMOUNTS[noise == "gaussian"])
        self.noise, self.amount = noise, amount
        super().__init__(shape, key, dtype, codes=codes, hidden=hidden)

    def corrupt(self, x: Array, key: Key) -> Array:
        """What the encoder sees of x: x with fresh noise."""
        return CORRUPTIONS[self.noise](x, self.amount, key)

    def evaluate(self, batch: Any, key: Key) -> Terms:
        """The squared error, and the mean decibels of each image before and after."""
        seen = self.corrupt(batch, key.at("corrupt"))
        terms: Terms = {}
        for name, image in (("noisy", seen), ("denoised", self.reconstruct(seen))):
            error = mean_squares(image, batch)  # (N,)
            terms[f"{name}_mse"] = error.mean()
            terms[f"{name}_psnr"] = -10 * np.log10(error).mean()
        return terms


_AMOUNTS = ("a probability, 0 to 1", "a standard deviation, 0 or more")
