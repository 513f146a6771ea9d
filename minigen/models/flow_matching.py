"""Flow matching (Lipman et al. 2023; Liu et al. 2023, "Flow straight and fast"): a velocity that carries noise to data.

Noise x_0 ~ N(0, I) and a row of data x_1, drawn independently, are joined by a straight path:

    x_t = (1 - t) x_0 + t x_1,        dx_t/dt = x_1 - x_0

Many paths pass through one place x at time t. A field that moves each point with their mean,

    v*(x, t) = E[ x_1 - x_0 | x_t = x ],

moves all of p_0 = N(0, I) so that at each time it has the distribution of x_t, and at t = 1 that of the data: v* satisfies the
continuity equation dp_t/dt = -div(p_t v*), since for every test function h

    d/dt E h(x_t) = E[ grad h(x_t) . (x_1 - x_0) ] = E[ grad h(x_t) . v*(x_t, t) ].

A conditional mean is what a regression finds. So v is trained by least squares on the paths themselves, one at a time:

    L = mean over rows and dimensions of (v(x_t, t) - (x_1 - x_0))^2         dv = 2 (v - (x_1 - x_0)) / size

and samples are x(1) of dx/dt = v(x, t), x(0) ~ N(0, I). L is not 0 at its minimum: what is left is the variance of the paths
that cross. Along a path of the flow d/dt log p(x(t), t) = -div v (Chen et al. 2018, instantaneous change of variables), so

    log p_1(x(1)) = log N(x(0); 0, I) - integral over t of div v(x(t), t),      div v = sum_i dv_i/dx_i: a jvp for each i.

N batch, D numbers in a row, "..." the axes of a row: points (D,), or images (H, W, C) in [-1, 1]. Derived in
lessons/04_diffusion.py.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from .. import optim
from ..averaging import Average
from ..backend import Array, Shape, to_device, zeros
from ..kernels.combine import add
from ..kernels.gaussian.definition import LOG_2PI
from ..layers.layer import Layer
from ..losses import mse
from ..random import Key
from .dcgan import quarterable
from .diffusion import TIME_UNIT
from .drawn_field import field_panel
from .integrators import grid, heun, integrator
from .model import Model, Recipe
from .objective import Forwards, Objective, Terms
from .point_field import PLANE, PointField
from .unet import UNet

LIKELIHOOD_STEPS = 24  # of Heun's rule, for the figures of a run
TIMES = (0.0, 0.25, 0.5, 0.75, 1.0)  # of the panels of the field


class PathNoise(NamedTuple):
    x0: Array  # (N, ...) where the paths begin
    t: Array  # (N,) uniform on [0, 1)
    key: Key  # of the noise within the network


class PathRegression(Objective):
    """The mean square of v(x_t, t) - (x_1 - x_0) (Lipman et al. 2023, eq. 23 at sigma_min = 0)."""

    name, updates = "velocity", ("field",)

    def draw(self, model: FlowMatching, batch: Array, key: Key, forwards: Forwards | None = None) -> PathNoise:
        x0, t = key.at("x0").normal(batch.shape, like=batch), key.at("t").uniform(len(batch), like=batch)
        return PathNoise(x0, t, key.at("field"))

    def __call__(
        self,
        model: FlowMatching,
        batch: Array,
        noise: PathNoise,
        *,
        train: bool = True,
        backward: bool = True,
        scale: float = 1.0,
        forwards: Forwards | None = None,
    ) -> tuple[Terms, Forwards]:
        x0, x1, t = noise.x0, batch, noise.t.reshape(-1, *(1,) * (batch.ndim - 1))  # (N, 1, ...)
        x_t, target = add(x0, (t, x1), (-1, t, x0)), add(x1, (-1, x0))  # (1 - t) x0 + t x1 (N, ...), and (N, ...)
        made = (forwards or {}).get("field") or model.field.forward(
            (x_t, add((model.clock, noise.t))), train=train, key=noise.key
        )
        v, cache = made  # (N, ...)

        loss, dv = mse(v, target, scale=scale)
        if backward:
            model.field.backward(dv, cache, need_dx=False)
        return {"velocity": loss}, {"field": made}


# On images: a U-Net, told 1000 t, so that its sines and cosines tell times apart.
IMAGES: dict[str, Any] = {"batch": 64, "steps": 8000, "rate": 5e-4, "options": {"width": 32}}


class FlowMatching(Model):
    """On points an MLP of `depth` layers of `width` units, on images a U-Net of `width` channels.

    Samples take `integration_steps` steps of an `integrator`. They and held-out figures are those of the averaged parameters.
    Raises ValueError where images cannot be halved twice, on an unknown integrator, and below one step.
    """

    name = "flow_matching"
    recipe = Recipe(
        family="diffusion",
        data=(*PLANE, "glyphs", "mnist", "fashion_mnist"),
        batch=256,
        steps=10_000,
        rate=5e-3,
        lesson="04",
        options={"width": 128, "depth": 4, "integrator": "heun", "integration_steps": 20, "decay": 0.999},
        objectives=("velocity",),
        by_data=dict.fromkeys(("glyphs", "mnist", "fashion_mnist"), IMAGES),
    )
    unit = "squared velocity; nats per row"
    field: Layer

    def __init__(
        self,
        shape: Shape,
        key: Key,
        dtype: DTypeLike = np.float32,
        *,
        width: int = 128,
        depth: int = 4,
        integrator: str = "heun",
        integration_steps: int = 20,
        decay: float = 0.999,
    ) -> None:
        self.shape, self.decay = tuple(shape), decay
        self.integration = integrator, integration_steps
        self._times(*self.integration)  # an unknown name is found here, not at the first picture
        super().__init__(key, dtype, field=self.make_field(width, depth))
        self.objectives = (PathRegression(),)

    @property
    def draws_images(self) -> bool:
        """Whether rows are images (H, W, C); else they are points (D,)."""
        return len(self.shape) == 3

    def make_field(self, width: int, depth: int) -> Layer:
        """((N, *shape), (N,)) -> (N, *shape): v at places and times, which are counted in `clock`."""
        if not self.draws_images:
            (D,) = self.shape
            return PointField(D, width, depth=depth)
        _, _, C = quarterable(self.name, self.shape)
        return UNet(C, width)

    @property
    def clock(self) -> float:
        """What the network is told at t = 1."""
        return TIME_UNIT if self.draws_images else 1.0

    def batch_of(self, batch: Any) -> Array:
        """Images from [0, 1] to [-1, 1]; points as they are."""
        images: Array = batch.images
        return 2 * images - 1 if self.draws_images else images

    # ---- training

    def start(self, rate: float, steps: int) -> None:
        self.optimize(adam=optim.Adam(self, rate=optim.cosine_decay(rate, steps)))
        self.averages = {"field": Average(self, decay=self.decay)}

    def step(self, batch: Array, key: Key) -> Terms:
        (regression,) = self.objectives
        noise = regression.draw(self, batch, key)

        self.zero_grads()
        terms, forwards = regression(self, batch, noise)
        self.optimizers["adam"].step()
        self.averages["field"].update()
        self.commit(noise, forwards)
        return terms

    # ---- the flow

    def velocity(self, x: Array, t: float) -> Array:
        """v(x, t), (n, *shape), at one time, with the parameters as they are."""
        v: Array = self.field.forward((x, zeros(len(x), x.dtype, like=x) + self.clock * t))[0]
        return v

    def flow(self, x: Array, start: float, end: float, name: str | None = None, steps: int | None = None) -> Array:
        """Where the averaged field carries x (n, *shape) from time `start` to `end`, in `steps` steps of an integrator."""
        step, times = self._times(name, steps, start, end)
        with self.averaged():
            moved: Array = step(self.velocity, x, times)
        return moved

    def _times(self, name: str | None, steps: int | None, start: float = 0.0, end: float = 1.0) -> tuple[Any, list[float]]:
        usual, number = self.integration
        return integrator(name or usual), grid(start, end, number if steps is None else steps)

    def noise(self, n: int, key: Key) -> Array:
        """n rows of N(0, I): (n, *shape)."""
        return key.normal((n, *self.shape), like=self.theta)

    def sample(self, n: int, key: Key) -> Array:
        drawn = self.flow(self.noise(n, key), 0, 1)
        return ((drawn + 1) / 2).clip(0, 1) if self.draws_images else drawn

    def log_likelihood(self, x: Array, steps: int = LIKELIHOOD_STEPS) -> Array:
        """log p(x) in nats, (n,), of rows x (n, D) under the averaged flow: back to time 0 with Heun's rule.

        Exact but for the integration. It costs D + 1 passes an evaluation, so it is meant for few dimensions, and raises
        ValueError for images.
        """
        if self.draws_images:
            raise ValueError(f"the exact likelihood takes a pass for each dimension: it is for points, not rows {self.shape}")

        def rate(state: tuple[Array, Array], t: float) -> tuple[Array, Array]:
            x, _ = state
            v, cache = self.field.forward((x, at := zeros(len(x), x.dtype, like=x) + t))
            return v, self._divergence(x, at, cache)

        with self.averaged():
            x0, change = heun(rate, (x, zeros(len(x), x.dtype, like=x)), grid(1, 0, steps))
        # `change` is the integral of div v from 1 to 0, minus that from 0 to 1.
        return -0.5 * ((x0**2).sum(1) + x.shape[1] * LOG_2PI) + change

    def _divergence(self, x: Array, t: Array, cache: Any) -> Array:
        """sum_i dv_i/dx_i, (n,): the i-th jvp moves the i-th coordinate and reads off how far the i-th velocity moves."""
        total, still = zeros(len(x), x.dtype, like=x), np.zeros_like(t)
        for i in range(x.shape[1]):
            along = np.zeros_like(x)
            along[:, i] = 1
            total += self.field.jvp((along, still), cache)[0][:, i]
        return total

    # ---- what a run shows

    def evaluate(self, batch: Array, key: Key) -> Terms:
        """The loss with averaged parameters, and, of points, the negative log likelihood in nats."""
        with self.averaged():
            terms = super().evaluate(batch, key)
        if not self.draws_images:
            terms["negative_log_likelihood"] = -self.log_likelihood(batch).mean()
        return terms

    def pictures(self, batch: Any, key: Key) -> dict[str, Array]:
        """Samples; in the plane, also the field at five times over the points that it has carried there."""
        pictures = super().pictures(batch, key)
        if self.shape == (2,):
            x, panels = self.noise(3000, key), []
            for t in TIMES:
                if t > 0:
                    x = self.flow(x, t - 0.25, t, steps=5)
                panels.append((t, x))
            extent = 1.15 * float(np.quantile(np.abs(to_device(panels[-1][1], "cpu")), 0.999))
            with self.averaged():
                drawn = [field_panel(partial(self.velocity, t=t), x, extent, f"t = {t:g}") for t, x in panels]
            pictures["field"] = np.stack(drawn)[None]  # (1, 5, S, S, 3)
        return pictures
