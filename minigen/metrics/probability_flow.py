"""The likelihood of what flows: a row is carried back to noise, and how the flow spreads there is added up (Chen et al. 2018).

Along a path of dx/dt = v(x, t) the density changes by d/dt log p(x(t), t) = -div v(x(t), t). From the data, at the first of
`times`, to noise N(0, I), at the last,

    log p(x) = log N(x_end; 0, I) + integral over t, from first to last, of div v(x(t), t)

integrated with x by Heun's rule. The divergence is the trace of J = dv/dx, of which a jvp gives J u for one u:

    exact        div v = sum_i e_i' J e_i               D passes: for few dimensions
    Hutchinson   div v ~ e' J e,   E e e' = I           unbiased, for any D (Hutchinson 1990; Grathwohl et al. 2019)

The numbers of e are 1 or -1 by chance, so that the diagonal of J adds no variance: what is left is sum_(i < j) (J_ij + J_ji)^2.
One e is kept for the whole path: then the path's sum is e' (integral of J) e, and its mean the integral of the
trace. With several e the error is seen. A row's signs are its own: neither the other rows nor the batch matter.

Two fields have it here: flow matching, and the probability flow of a diffusion (Song et al. 2021b), in the angle phi with
a = cos phi, s = sin phi,

    dx/dphi = E[a eps - s x_0 | x] = v

which the network says itself (prediction v), or (eps - s x) / a, or (a x - x_0) / s. It starts at the angle of the first step:
a row is taken as x_1, whose noise s_1 is 0.006 in the cosine schedule of 1,000 steps.

N rows, D numbers in each.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from ..backend import Array, to_device
from ..kernels.gaussian.definition import LOG_2PI
from ..models.diffusion import Diffusion
from ..models.flow_matching import FlowMatching
from ..models.integrators import heun
from ..random import Key

STEPS = 50

Push: TypeAlias = Callable[[Array], Array]  # x_dot -> how v moves
Field: TypeAlias = Callable[[Array, float], tuple[Array, Push]]  # (x, t) -> v, and its jvp there


class FlowLikelihood(NamedTuple):
    """What `flow_log_likelihood` found, of each row."""

    log_p: Array  # (N,) float64, nats
    error: Array | None  # (N,) the standard error over the probes; None where it is exact, or of one probe


def flow_log_likelihood(
    field: Field, x: Array, times: list[float], *, probes: int = 0, key: Key | None = None, first: int = 0
) -> FlowLikelihood:
    """log p of rows x (N, ...), which are data at times[0], of a flow whose x at times[-1] is N(0, I).

    probes = 0 takes the exact trace, D passes at each of 2 (len(times) - 1) places; otherwise that many random vectors, drawn
    from `key`; row i is row `first` + i of the data. Raises ValueError where probes have no key, and on fewer than two times.
    """
    if len(times) < 2 or probes < 0 or (probes and key is None):
        raise ValueError(f"a likelihood needs two times, and a key for its probes; got {len(times)} times and {probes} probes")
    N, D = len(x), math.prod(x.shape[1:])
    if probes:
        assert key is not None
        e = np.stack([_signs(x.shape[1:], probes, key.at("row", first + i)) for i in range(N)], 1)  # (probes, N, ...)
    else:
        e = np.repeat(np.eye(D).reshape(D, 1, *x.shape[1:]), N, 1)  # (D, N, ...)
    e = e.astype(x.dtype)

    def rate(state: tuple[Array, Array], t: float) -> tuple[Array, Array]:
        v, push = field(state[0], t)
        return v, np.stack([(u * push(u)).reshape(N, -1).sum(1, dtype=np.float64) for u in e])

    end, change = heun(rate, (x, np.zeros((len(e), N))), times)  # change (probes, N) or (D, N)
    noise = -0.5 * ((to_device(end, "cpu").reshape(N, -1).astype(np.float64) ** 2).sum(1) + D * LOG_2PI)
    if not probes:
        return FlowLikelihood(noise + change.sum(0), None)
    error = change.std(0, ddof=1) / math.sqrt(probes) if probes > 1 else None
    return FlowLikelihood(noise + change.mean(0), error)


def _signs(shape: tuple[int, ...], probes: int, key: Key) -> Array:
    """(probes, *shape) of 1 and -1."""
    return 1 - 2 * np.stack([key.at("probe", i).integers(2, shape) for i in range(probes)])


# ---- the fields of models


def log_likelihood(
    model: FlowMatching | Diffusion, x: Array, *, steps: int = STEPS, probes: int = 0, key: Key | None = None, first: int = 0
) -> FlowLikelihood:
    """log p of rows x (N, ...) by the averaged parameters: points, or images in [-1, 1], for `nats.discrete_nats`."""
    field, start, end = (matching_field if isinstance(model, FlowMatching) else diffusion_field)(model)
    with model.averaged():
        times = np.linspace(start, end, steps + 1).tolist()
        return flow_log_likelihood(field, x, times, probes=probes, key=key, first=first)


def matching_field(model: Any) -> tuple[Field, float, float]:
    """The velocity, and the times of data and of noise: 1 and 0."""

    def field(x: Array, t: float) -> tuple[Array, Push]:
        at = np.full(len(x), model.clock * t, x.dtype)
        v, cache = model.field.forward((x, at))
        return v, lambda u: model.field.jvp((u, np.zeros_like(at)), cache)[0]

    return field, 1.0, 0.0


def diffusion_field(model: Any) -> tuple[Field, float, float]:
    """dx/dphi, and the angles of data and of noise. Of a model with classes it is that of no class."""
    bar = model.schedule.alpha_bar  # (T + 1,)
    angles = np.arctan2(np.sqrt(1 - bar), np.sqrt(bar))  # rising from 0

    def field(x: Array, phi: float) -> tuple[Array, Push]:
        a, s = math.cos(phi), math.sin(phi)
        t = np.full(len(x), np.interp(phi, angles, np.arange(len(angles))))
        inputs = model.inputs(x, t)
        y, cache = model.net.forward(inputs)
        still = (np.zeros_like(inputs[1]), *(None,) * (len(inputs) - 2))

        def as_v(y: Array, x: Array) -> Array:
            v: Array = y if model.prediction == "v" else (y - s * x) / a if model.prediction == "noise" else (a * x - y) / s
            return v

        return as_v(y, x), lambda u: as_v(model.net.jvp((u, *still), cache)[0], u)

    return field, float(angles[1]), float(angles[-1])
