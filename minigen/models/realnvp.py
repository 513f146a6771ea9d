"""RealNVP (Dinh et al. 2017): a flow of affine couplings.

Each coupling keeps one half of a row and moves the other, b e^s + t, where a network of the kept half says by how much; the
next keeps what was moved. All that is moved is moved exactly back in the inverse (layers/coupling.py).

    x = (a, b) -- coupling --> (a, b') -- coupling, flipped --> (a', b') -- ... --> z

N batch, D numbers in a row.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ..backend import Array, Shape, device_of, number, to_device
from ..layers.bijection import Chain
from ..layers.composite import Sequential
from ..layers.coupling import Affine, Coupling, Transform
from ..layers.elementwise import ReLU
from ..layers.initialisers import by_name, uniform, zeros
from ..layers.linear import Linear
from ..layers.vector import Spec
from ..random import Key
from .flow import NegativeLogLikelihood, NormalizingFlow
from .model import Recipe

PLANE = ("checkerboard", "grid25", "ring8", "pinwheel", "moons", "spirals")


class RealNVP(NormalizingFlow):
    """Rows (D,): `depth` couplings on alternating halves, whose networks have two hidden layers of ReLU units.

    A coupling multiplies by e^s with |s| < `bound`. Networks end in zeros, so the flow begins as the identity. With
    `store=False` no activation is stored: each coupling's input is recomputed from its output (layers.bijection.Chain), and in
    float32 the gradient is another by 1e-5 of its norm, of splines by 1e-4, which is what float32 itself costs. `clip` limits
    the norm of a gradient.

    The first biases are drawn from U(-`spread`, `spread`): if they were 0, all ReLU units of a single input would bend at the
    same point, 0. `initialiser` (layers.initialisers) draws the weights of both hidden layers.
    """

    name = "realnvp"
    recipe = Recipe(
        family="flow",
        data=PLANE,
        batch=512,
        steps=5000,
        rate=5e-3,
        lesson="05",
        options={
            "depth": 12,
            "hidden": 64,
            "bound": 2.0,
            "store": True,
            "clip": 5.0,
            "initialiser": "he_normal",
            "spread": 3.0,
        },
        objectives=("likelihood",),
        by_data={"grid25": {"rate": 2e-3, "steps": 24000}},  # at 5e-3 it comes no nearer than 1.05 nats in 20,000 steps
    )

    def __init__(
        self,
        shape: Shape,
        key: Key,
        dtype: DTypeLike = np.float32,
        *,
        depth: int = 12,
        hidden: int = 64,
        bound: float = 2.0,
        store: bool = True,
        clip: float = 5.0,
        initialiser: str = "he_normal",
        spread: float = 3.0,
    ) -> None:
        self.bound, self.initialiser, self.spread = bound, by_name(initialiser), spread
        self.build(shape, key, dtype, depth, hidden, store, clip)

    def build(self, shape: Shape, key: Key, dtype: DTypeLike, depth: int, hidden: int, store: bool, clip: float) -> None:
        """The chain of couplings, laid out."""
        if len(shape) != 1 or shape[0] < 2:
            raise ValueError(f"{self.name} is for rows of at least 2 numbers, (D,); got rows of shape {shape}")
        self.shape, self.clip = tuple(shape), clip
        couplings = [self.coupling(shape[0], hidden, flip=bool(i % 2)) for i in range(depth)]
        super().__init__(key, dtype, flow=Chain(*couplings, store=store))
        self.objectives = (NegativeLogLikelihood(),)

    def transform(self) -> Transform:
        """What moves a number."""
        return Affine(self.bound)

    def coupling(self, D: int, hidden: int, flip: bool) -> Coupling:
        """One coupling and its network."""
        transform = self.transform()
        kept, moved = (D - D // 2, D // 2) if flip else (D // 2, D - D // 2)
        first = Linear(kept, hidden, activation=ReLU(), initialiser=self.initialiser)
        first.specs["b"] = Spec((hidden,), uniform(self.spread))
        net = Sequential(
            hidden1=first,
            hidden2=Linear(hidden, hidden, activation=ReLU(), initialiser=self.initialiser),
            out=Linear(hidden, transform.planes * moved, initialiser=zeros),
        )
        return Coupling(net, transform, flip=flip)

    def pictures(self, batch: Any, key: Key) -> dict[str, Array]:
        """Samples and, in the plane, the density itself."""
        if self.shape != (2,):
            return {}
        return {"samples": self.sample(10_000, key.at("samples")), "density": self.density_map(self.batch_of(batch))}

    def density_map(self, points: Array, side: int = 200) -> Array:
        """p on a square around the points: a grid of one image, white where p is 0. y points upwards."""
        reach = 1.1 * number(np.abs(points).max()) if len(points) else 1.0
        line = np.linspace(-reach, reach, side, dtype=self.dtype)
        x = np.stack(np.meshgrid(line, line[::-1]), -1).reshape(-1, 2)
        p = np.exp(to_device(self.log_prob(to_device(x, device_of(self.theta))), "cpu"))
        image: Array = 1 - np.sqrt(np.minimum(p / np.quantile(p, 0.99), 1))
        return image.reshape(1, 1, side, side, 1)
