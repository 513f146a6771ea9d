"""A diffusion model: a network that sees data through noise, and what can be made of it.

    training      noise a row to a random step, ask the network what is noise                          denoising.py
    sampling      from noise alone, step by step towards what the network sees                         diffusion_sampling.py
    likelihood    the variational bound, of which the training's loss is a part                        diffusion_bound.py
    score         the slope of log q(x_t) is -eps / s: the same network drives Langevin's dynamics and the probability flow

Two looks at one row may be combined: with labels, guidance w moves what the network sees away from what it sees when it is not
told the label, y + w (y - y_untold) (Ho and Salimans 2022, eq. 6). Held-out figures and samples are those of the averaged
parameters.

N rows; "..." the axes of a row: an image in [-1, 1], or a point as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from .. import optim
from ..averaging import Average
from ..backend import Array, Shape, device_of, to_device, zeros
from ..kernels.combine import concatenate
from ..layers.layer import Layer
from ..random import Key
from . import diffusion_sampling as sampling
from .denoising import Denoising, WeightedDenoising
from .diffusion_bound import bound
from .diffusion_sampling import Seen, Step
from .drawn_field import field_panel
from .labelled import Labelled, asked_for, labelled
from .model import Model
from .objective import Terms
from .schedules import PREDICTIONS, VARIANCES, ByStep, schedule

OPTIONS: dict[str, Any] = {
    "T": 1000,  # steps of the diffusion
    "schedule": "cosine",
    "prediction": "v",
    "variance": "small",
    "objective": "simple",  # or "bound", for likelihood
    "classes": None,  # without labels
    "drop": 0.1,  # of the labels
    "guidance": 1.0,
    "jumps": 50,  # of a sample
    "eta": 0.0,
    "decay": 0.999,  # of the average of the parameters
}
OBJECTIVES = ("simple", "bound")
SAMPLERS = ("ddim", "ancestral", "heun", "langevin")
TIME_UNIT = 1000.0  # what the network is told of t lies in 0 .. 1000, for every T


class Diffusion(Model):
    """A network (x, t) or (x, t, label) -> y, shaped like x, and its options; see OPTIONS.

    Raises ValueError on an option that there is not.
    """

    unit = "squared error or bits, per dimension"
    draws = MappingProxyType({"sampler": str, "jumps": int, "eta": float, "guidance": float})
    net: Layer

    def __init__(self, shape: Shape, key: Key, dtype: DTypeLike, net: Layer, **options: Any) -> None:
        super().__init__(key, dtype, net=net)
        chosen = {**OPTIONS, **options}
        if chosen["prediction"] not in PREDICTIONS:
            raise ValueError(f"unknown prediction {chosen['prediction']!r}: there is {', '.join(PREDICTIONS)}")
        self.shape, self.images = tuple(shape), len(shape) == 3
        if chosen["variance"] not in VARIANCES:
            raise ValueError(f"unknown variance {chosen['variance']!r}: there is {', '.join(VARIANCES)}")
        if chosen["objective"] not in OBJECTIVES:
            raise ValueError(f"unknown objective {chosen['objective']!r}: there is {', '.join(OBJECTIVES)}")
        self.schedule = schedule(chosen["schedule"], chosen["T"])
        self.times = ByStep((np.arange(self.schedule.T + 1) - 1) * (TIME_UNIT / self.schedule.T))
        self.prediction, self.variance = chosen["prediction"], chosen["variance"]
        self.classes, self.guidance = chosen["classes"], chosen["guidance"]
        self.jumps, self.eta, self.decay = min(chosen["jumps"], chosen["T"]), chosen["eta"], chosen["decay"]
        asked = self.prediction, chosen["drop"]
        weighted = chosen["objective"] == "bound"
        self.objectives = (WeightedDenoising(*asked, self.schedule, self.variance) if weighted else Denoising(*asked),)

    def start(self, rate: float, steps: int) -> None:
        self.optimize(adam=optim.Adam(self, rate=rate))
        self.averages = {"slow": Average(self, decay=self.decay)}

    def step(self, batch: Any, key: Key) -> Terms:
        (denoising,) = self.objectives
        noise = denoising.draw(self, batch, key)

        self.zero_grads()
        terms, forwards = denoising(self, batch, noise)
        self.optimizers["adam"].step()
        self.averages["slow"].update()
        self.commit(noise, forwards)
        return terms

    # ---- rows and labels

    def batch_of(self, batch: Any) -> Any:
        """Images from [0, 1] to [-1, 1], with their labels where the model has classes; points as they are."""
        x = 2 * batch.images - 1 if self.images else batch.images
        return x if self.classes is None else Labelled(x, labelled(batch, self.name, self.classes).labels)

    def parts(self, batch: Any) -> tuple[Array, Array | None]:
        """The rows of a batch and their labels, None in a model without classes."""
        return (batch, None) if self.classes is None else (batch.images, batch.labels)

    def inputs(self, x_t: Array, t: Array, labels: Array | None = None, hidden: Array | None = None) -> tuple[Array, ...]:
        """What the network takes, at steps t (N,), or between two.

        A label that is hidden, or not given, is the class after the last.
        """
        if t.dtype.kind in "iu":
            time = self.times.at(t, x_t).reshape(-1)  # (N,)
        else:  # between two steps, where a probability flow goes (metrics/probability_flow.py)
            time = ((t - 1) * (TIME_UNIT / self.schedule.T)).astype(x_t.real.dtype)
        if self.classes is None:
            return x_t, time
        labels = zeros((len(x_t),), np.int64, like=x_t) + self.classes if labels is None else labels
        return x_t, time, labels if hidden is None else np.where(hidden, self.classes, labels)

    # ---- what the network sees

    def predict(self, x_t: Array, t: Any, labels: Array | None = None, guidance: float | None = None) -> Array:
        """The network's output (N, ...) at t, a number or integers (N,); with guidance where there are labels."""
        N, w = len(x_t), self.guidance if guidance is None else guidance
        t = zeros((N,), np.int64, like=x_t) + t
        if labels is None or w == 0:
            y: Array = self.net.forward(self.inputs(x_t, t, labels))[0]
            return y
        untold = zeros((N,), np.int64, like=x_t) + self.classes
        twice = self.inputs(*(concatenate(pair) for pair in ((x_t, x_t), (t, t), (labels, untold))))
        both = self.net.forward(twice)[0]  # (2 N, ...)
        return both[:N] + w * (both[:N] - both[N:])

    def denoise(self, x_t: Array, t: Any, labels: Array | None = None, guidance: float = 0.0) -> Seen:
        """x_0 and eps as the network sees them in x_t, (N, ...) each; the x_0 of images is brought back into [-1, 1]."""
        y, plan = self.predict(x_t, t, labels, guidance), self.schedule
        if not self.images:
            return Seen(plan.data(self.prediction, y, x_t, t), plan.noise(self.prediction, y, x_t, t))
        x0 = plan.data(self.prediction, y, x_t, t).clip(-1, 1)
        return Seen(x0, plan.noise("x0", x0, x_t, t))

    def score(self, x_t: Array, t: Any, labels: Array | None = None) -> Array:
        """The slope of log q(x_t), (N, ...), as the network has it: -eps / s."""
        eps = self.schedule.noise(self.prediction, self.predict(x_t, t, labels, 0.0), x_t, t)
        slope: Array = -eps / self.schedule.scales(t, x_t)[1]
        return slope

    # ---- figures and samples, by the averaged parameters

    def evaluate(self, batch: Any, key: Key) -> Terms:
        """The loss of training, and for images the bound of `diffusion_bound.bound`, every row at one random step."""
        with self.averaged():
            figures = super().evaluate(batch, key.at("loss"))
            return figures | bound(self, batch, key.at("bound")) if self.images else figures

    def walk(
        self,
        x: Array,
        key: Key,
        labels: Array | None = None,
        *,
        sampler: str = "ddim",
        jumps: int | None = None,
        eta: float | None = None,
        guidance: float | None = None,
    ) -> Iterator[Step]:
        """From noise x (N, ...) to data by one of SAMPLERS, step by step, with the parameters as they are.

        Raises ValueError on an unknown sampler, and on more jumps than T.
        """
        if sampler not in SAMPLERS:
            raise ValueError(f"unknown sampler {sampler!r}: there is {', '.join(SAMPLERS)}")
        w, jumps, plan = self.guidance if guidance is None else guidance, jumps or self.jumps, self.schedule
        see: Callable[[Array, int], Seen] = lambda x_t, t: self.denoise(x_t, t, labels, w)
        if sampler == "langevin":
            return sampling.langevin(see, plan, x, sampling.levels(plan, jumps, 20.0, 0.01), key)
        at = sampling.times(plan.T, jumps)
        if sampler == "ancestral":
            return sampling.ancestral(see, plan, x, at, key, variance=self.variance)
        if sampler == "heun":
            return sampling.heun(see, plan, x, at)
        return sampling.ddim(see, plan, x, at, key, self.eta if eta is None else eta)

    def generate(self, n: int, key: Key, labels: Array | None = None, **how: Any) -> Array:
        """n rows from noise, by `walk` with the averaged parameters: images (n, H, W, C) in [0, 1], or points."""
        with self.averaged():
            noise = key.at("noise").normal((n, *self.shape), like=self.theta)
            x = sampling.last(self.walk(noise, key.at("walk"), labels, **how))
        return self.shown(x)

    def shown(self, x: Array) -> Array:
        """Rows of the model as they are looked at: images from [-1, 1] to [0, 1]."""
        return (0.5 * (x + 1)).clip(0, 1) if self.images else x

    def sample_class(self, labels: Any, key: Key, **how: Any) -> Array:
        """A row of each of these classes (N,). Raises ValueError in a model without classes, and on a label that it has not."""
        if self.classes is None:
            return super().sample_class(labels, key)  # which refuses
        return self.generate(len(labels), key, asked_for(labels, self.classes, self.name, self.theta), **how)

    def sample(self, n: int, key: Key, **how: Any) -> Array:
        """n rows, by `walk`; in a model with classes as many of each as of the others, in their order."""
        if self.classes is None:
            return self.generate(n, key, **how)
        return self.sample_class(np.arange(n) * self.classes // max(1, n), key, **how)

    def pictures(self, batch: Any, key: Key) -> dict[str, Array]:
        """`samples`, with classes a row for each; for images `denoising`: ways from noise, below each what the network sees.

        In the plane `field`: the score at five steps of a way from noise, over the points that have come there.
        """
        if not self.images:
            pictures = super().pictures(batch, key)
            return pictures | ({"field": self.drawn_score(key.at("field"))} if self.shape == (2,) else {})
        rows = 8 if self.classes is None else self.classes
        samples = self.sample(8 * rows, key.at("samples")).reshape(rows, 8, *self.shape)
        return {"samples": samples, "denoising": self.ways(4, 10, key.at("ways"))}

    def ways(self, n: int, columns: int, key: Key, **how: Any) -> Array:
        """n ways from noise in `columns` stops: (2 n, columns, H, W, C), x_t and below it x_0 as it is seen there."""
        labels = None if self.classes is None else to_device(np.arange(n) % self.classes, device_of(self.theta))
        with self.averaged():
            noise = key.at("noise").normal((n, *self.shape), like=self.theta)
            steps = list(self.walk(noise, key.at("walk"), labels, **how))
        shown = [steps[i] for i in np.linspace(0, len(steps) - 1, columns).round().astype(int)]
        grid = np.stack([self.shown(np.stack((step.x, step.x0), 1)) for step in shown], 2)  # (n, 2, columns, H, W, C)
        return grid.reshape(2 * n, columns, *self.shape)

    def drawn_score(self, key: Key, n: int = 3000, panels: int = 5) -> Array:
        """The score of points in the plane: (1, panels, S, S, 3), from step T to the end."""
        with self.averaged():
            x = key.at("noise").normal((n, 2), like=self.theta)
            steps = [Step(self.schedule.T, x, x), *self.walk(x, key.at("walk"))]
            shown = [steps[i] for i in np.linspace(0, len(steps) - 1, panels).round().astype(int)]
            extent = 1.15 * float(np.quantile(np.abs(to_device(shown[-1].x, "cpu")), 0.999))
            drawn = [field_panel(partial(self.score, t=max(1, s.t)), s.x, extent, f"t = {s.t}") for s in shown]
        return np.stack(drawn)[None]
