"""An energy-based model: a network gives every image, or every point of the plane, one number, its energy.

    p(x) = e^-E(x) / Z      low energy is high probability; Z is not known, and not needed

It learns by the contrast of contrast.py: the energy of the data goes down, that of the model's samples up. The samples come
from Langevin dynamics (langevin.py), a few steps each time. What makes that affordable is the **replay buffer** (persistent
chains, as Du and Mordatch 2019 keep them): chains go on where they were left, in state["replay"]; a share `fresh` of them
starts anew from uniform noise, so that the way from noise to data is learned too.

    data  --------------------------------- E --> mean E(data)   - mean E(samples)
    replay, or noise -- Langevin: samples -- E -/                + alpha (mean E(data)^2 + mean E(samples)^2)

N rows, M chains (as many as rows), R places of the buffer, w width. Images lie in [-1, 1]; points in a square that holds them,
[-extent, extent]^2, on which p is a density and Z an integral that quadrature can do.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from .. import optim
from ..backend import Array, Constant, Shape, device_of, to_device
from ..kernels import combine
from ..kernels.rows import put, take
from ..layers.composite import Sequential
from ..layers.conv2d import Conv2d
from ..layers.elementwise import SiLU
from ..layers.layer import Layer
from ..layers.linear import Linear
from ..layers.shape import Flatten
from ..layers.spectral_norm import SpectralNorm
from ..random import Key
from .contrast import Contrast, Negatives
from .langevin import langevin
from .model import Model, Recipe
from .objective import Forwards, Terms
from .partition import OfParameters, grid, log_z_on_square, on_host

LIMIT = 0.1  # of the gradient's norm
ONE = Constant(1.0)  # without axes
POINTS: dict[str, Any] = {
    "batch": 128,
    "steps": 3000,
    "rate": 1e-3,
    "options": {
        "width": 64,
        "langevin_steps": 20,
        "step_size": 0.01,
        "noise": None,
        "clip": 30.0,
        "replay": 10_000,
        "alpha": 0.01,
        "data_noise": 0.0,
    },
}
RING: dict[str, Any] = {**POINTS, "options": {**POINTS["options"], "extent": 1.5, "step_size": 1e-3}}


class EBM(Model):
    """Images: convolutions with strides and SiLU, w-2w-4w channels, then a dense layer. Points: three dense layers of w.

    Chains take `langevin_steps` steps of `step_size` with `noise` (None: that of temperature 1) and slopes clipped to `clip`.
    `data_noise` is added to the data, so that no chain can be told from it by its grain; `spectral` divides every weight by its
    largest singular value, so that the energy has a bounded slope. The rate falls in a straight line to `final_rate` times its
    first value.
    """

    name = "ebm"
    recipe = Recipe(
        family="energy",
        data=("glyphs", "mnist", "fashion_mnist", "moons", "pinwheel", "checkerboard", "spirals", "ring8"),
        batch=64,
        steps=3000,
        rate=5e-4,
        lesson="06",
        options={
            "width": 16,
            "langevin_steps": 20,
            "step_size": 10.0,
            "noise": 0.005,
            "clip": 0.03,
            "replay": 4096,
            "fresh": 0.05,
            "alpha": 0.1,
            "data_noise": 0.03,
            "spectral": False,
            "extent": 5.5,
            "final_rate": 0.1,
        },
        objectives=("contrast",),
        by_data={**dict.fromkeys(("moons", "pinwheel", "checkerboard", "spirals"), POINTS), "ring8": RING},
        proof={"rows": 3, "options": {"width": 2, "langevin_steps": 2, "replay": 7}, "data_options": {"size": 16}},
    )
    unit = "energy"
    energy: Sequential

    def __init__(
        self,
        shape: Shape,
        key: Key,
        dtype: DTypeLike = np.float32,
        *,
        width: int = 16,
        langevin_steps: int = 20,
        step_size: float = 10.0,
        noise: float | None = 0.005,
        clip: float = 0.03,
        replay: int = 4096,
        fresh: float = 0.05,
        alpha: float = 0.1,
        data_noise: float = 0.03,
        spectral: bool = False,
        extent: float = 5.5,
        final_rate: float = 0.1,
    ) -> None:
        if min(width, langevin_steps, replay) < 1 or not 0 <= fresh <= 1:
            raise ValueError(
                f"width {width}, langevin_steps {langevin_steps} and replay {replay} must be at least 1, "
                f"and fresh, {fresh:g}, a share in 0 .. 1"
            )
        self.shape, self.fresh, self.data_noise, self.final_rate = tuple(shape), fresh, data_noise, final_rate
        self.bound = 1.0 if self.draws_images else extent
        self.dynamics = {"steps": langevin_steps, "step": step_size, "noise": noise, "clip": clip, "bound": self.bound}
        super().__init__(key, dtype, energy=self.network(width, spectral))
        self.objectives = (Contrast(alpha),)
        self.state = {"replay": self.uniform(replay, key.at("replay"))}
        self._log_z = OfParameters()

    @property
    def draws_images(self) -> bool:
        """Whether rows are images, not points."""
        return len(self.shape) == 3

    def network(self, w: int, spectral: bool) -> Sequential:
        """(N, *shape) -> (N, 1). The last layer has no bias: it would cancel in Z."""
        if self.draws_images:
            H, W, C = self.shape
            sides = [(H, W)]
            for _ in range(3):
                sides.append(tuple(-(-side // 2) for side in sides[-1]))  # type: ignore[arg-type]
            layers: list[Layer] = [
                Conv2d(C, w, 5, stride=2, padding=2),
                Conv2d(w, 2 * w, 3, stride=2, padding=1),
                Conv2d(2 * w, 4 * w, 3, stride=2, padding=1),
                Linear(4 * w * math.prod(sides[-1]), 4 * w),
            ]
        else:
            layers = [Linear(math.prod(self.shape), w), Linear(w, w), Linear(w, w)]
        out = Linear(layers[-1].outputs, 1, bias=False)  # type: ignore[attr-defined]
        parts: list[Layer] = []
        for layer in layers:
            if isinstance(layer, Linear) and self.draws_images:
                parts.append(Flatten())
            parts += [layer.compute("W", SpectralNorm()) if spectral else layer, SiLU()]
        return Sequential(*parts, out=out.compute("W", SpectralNorm()) if spectral else out)

    def start(self, rate: float, steps: int) -> None:
        schedule = rate if self.final_rate == 1 else optim.linear_decay(rate, steps, self.final_rate * rate)
        self.optimize(adam=optim.Adam(self, rate=schedule, betas=(0.0, 0.999)))

    # ---- the negative phase

    def uniform(self, n: int, key: Key) -> Array:
        """Uniform noise over all that x may be: (n, *shape)."""
        u = key.uniform((n, *self.shape), like=self.theta.real)
        return combine.add((2 * self.bound, u), (-self.bound, ONE.beside(u)), out=u)

    def negatives(self, batch: Array, key: Key, forwards: Forwards | None = None) -> Negatives:
        """As many chains as rows, from the buffer or from noise, some steps on; and the noise that is added to the data."""
        replay = self.state["replay"]
        slots = key.at("slots").permutation(len(replay), like=replay)[: len(batch)]
        beside_rows = len(slots), *[1] * len(self.shape)
        anew = key.at("anew").bernoulli(self.fresh, beside_rows, replay.dtype, like=replay)  # 0 or 1 for each chain
        old = take(replay, slots)
        start = combine.add(old, (anew, self.uniform(len(slots), key.at("fresh"))), (-1, anew, old))
        samples = langevin(self.energy, start, key.at("langevin"), **self.dynamics)  # type: ignore[arg-type]
        jitter = combine.add((self.data_noise, key.at("jitter").normal(batch.shape, like=batch))) if self.data_noise else None
        return Negatives(samples, slots, jitter)

    def step(self, batch: Array, key: Key) -> Terms:
        (contrast,) = self.objectives
        noise = contrast.draw(self, batch, key)

        self.zero_grads()
        terms, forwards = contrast(self, batch, noise)
        optim.clip_norm(self, self.spans("energy"), LIMIT)
        self.optimizers["adam"].step()
        self.commit(noise, forwards)
        return terms

    def commit(self, noise: Negatives, forwards: Forwards) -> None:
        super().commit(noise, forwards)
        assert noise.slots is not None
        replay = combine.add(self.state["replay"])  # a copy: state is replaced, never written in place
        put(replay, noise.slots, noise.samples)
        self.state["replay"] = replay

    def batch_of(self, batch: Any) -> Array:
        """Images from [0, 1] to [-1, 1]; points as they are."""
        images: Array = batch.images
        return 2 * images - 1 if self.draws_images else images

    # ---- what it is worth, and what it shows

    def log_z(self) -> float:
        """log of the integral of e^-E over the square, nats: of points alone."""
        return self._log_z(self.theta, lambda: log_z_on_square(on_host(self.energy), self.bound, self.dtype))

    def log_prob(self, x: Array) -> Array:
        """log p(x) = -E(x) - log Z, nats, (N,): of points alone, inside the square."""
        return -self.energy.forward(x)[0] - self.log_z()

    def evaluate(self, batch: Array, key: Key) -> Terms:
        """Points: -log p, nats, with Z by quadrature. Images: mean energies of the data, the buffer's chains and noise."""
        if not self.draws_images:
            return {"negative_log_likelihood": -self.log_prob(batch).mean()}
        replay = self.state["replay"]
        chains = replay[key.at("rows").integers(len(replay), len(batch))]
        shown = {"data": batch, "chains": chains, "noise": self.uniform(len(batch), key.at("noise"))}
        return {f"energy_of_{name}": self.energy.forward(x)[0].mean() for name, x in shown.items()}

    def sample(self, n: int, key: Key) -> Array:
        """Chains of the buffer, one turn of Langevin steps on: images in [0, 1], or points."""
        replay = self.state["replay"]
        start = replay[key.at("rows").integers(len(replay), n)]
        x = langevin(self.energy, start, key.at("langevin"), **self.dynamics)  # type: ignore[arg-type]
        return 0.5 * (x + 1) if self.draws_images else x

    def energy_map(self, side: int = 240) -> Array:
        """e^(min E - E) on the square, (side, side), y upwards: 1 where the density is highest. Of points alone."""
        at = to_device(grid(self.bound, side, self.dtype), device_of(self.theta))
        E = to_device(self.energy.forward(at)[0], "cpu").reshape(side, side)[::-1]
        return np.exp(E.min() - E)

    def pictures(self, batch: Any, key: Key) -> dict[str, Array]:
        pictures = super().pictures(batch, key)
        if not self.draws_images:
            pictures["density"] = 1 - np.sqrt(self.energy_map())[None, None, :, :, None]
        return pictures
