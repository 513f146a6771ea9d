"""The partition function of a restricted Boltzmann machine: exactly, where one layer is small, and by annealing.

Z = sum_v sum_h e^(v'b + h'c + v'W h). With one layer given, the other is summed unit by unit, so the sum over all states of the
smaller layer is enough: 2^16 terms for 16 hidden units, whatever the image.

    Z = sum_h e^(h'c) prod_i (1 + e^(b + W h)_i) = sum_v e^-F(v)

Where both are large, annealed importance sampling (Neal 2001; for this model Salakhutdinov and Murray 2008) walks from a
distribution whose Z is known to the model, by K small steps in the inverse temperature beta:

    f_beta(v) = q(v)^(1 - beta) e^(beta v'b) prod_j (1 + e^(beta (v W + c)_j))        f_1 = e^-F
    beta = 0: independent bits, q their probability, and Z_0 = 2^H
    w = prod_k f_k(v_k) / f_(k-1)(v_k),   v_1 ~ f_0,  v_(k+1) from v_k by a Gibbs sweep that leaves f_k as it is

    E w = Z / Z_0       exactly, for any number of steps: log Z is estimated by log Z_0 + log (mean w)

The logarithm of an unbiased mean is too low on average (Jensen), and much too low where the chains miss a mode. Walking back,
from samples of the model to the base, each factor inverted, gives E w = Z_0 / Z, and an estimate that is too high (reverse
annealing; Burda, Grosse and Salakhutdinov 2015, who start from test images to bound their likelihood from below). The truth
lies between, if the reverse walk begins at samples of the model.

The standard error is the delta method's: with N independent chains, sd(log mean w) = sd(w) / (sqrt(N) mean(w)), in nats.

V visible and H hidden units, N chains, K temperatures, M parts of the mixture that annealing may start from.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import DTypeLike

from ..backend import Array, device_of, empty, to_device
from ..kernels.matmul import matmul
from ..layers.elementwise import sigmoid, softplus
from ..layers.free_energy import FreeEnergy
from ..layers.layer import Layer
from ..random import Key

Energy = TypeVar("Energy", bound=Layer)
EXACT_UNITS = 20  # of the smaller layer: 2^20 states are about ten seconds
BLOCK = 1 << 12  # states in memory together


class LogZ(NamedTuple):
    value: float  # nats
    error: float  # its standard error by the delta method, nats; 0 where it is exact
    log_weights: Array | None = None  # (N,): log w of each chain


def on_host(energy: Energy) -> Energy:
    """The energy where its states are counted: on the CPU, in a copy if it lies on a GPU."""
    first = next(array for _, array in energy.named())
    return energy if device_of(first) == "cpu" else energy.clone(like=empty(0, first.dtype))


def is_small(energy: FreeEnergy) -> bool:
    """Whether the smaller layer has at most EXACT_UNITS units."""
    return min(energy.visible_units, energy.hidden_units) <= EXACT_UNITS


def bits(units: int, start: int, stop: int) -> Array:
    """The states start .. stop - 1 of so many units, bit j of the number being unit j: (stop - start, units) float64."""
    return _bits_of(np.arange(start, stop, dtype=np.int64), units)


def _bits_of(numbers: Array, units: int) -> Array:
    states: Array = (numbers[:, None] >> np.arange(units) & 1).astype(np.float64)
    return states


def _log_terms(energy: FreeEnergy) -> Iterator[Array]:
    """The logarithms of the terms of Z, block by block, in float64: over h where it is the smaller layer, else over v."""
    W, b, c = (np.asarray(energy.params[name], np.float64) for name in "Wbc")
    if energy.hidden_units > energy.visible_units:
        W, b, c = W.T, c, b  # the two layers are alike: exchange them
    units = W.shape[1]
    if units > EXACT_UNITS:
        raise ValueError(
            f"an exact sum over 2^{units} states is out of reach: at most {EXACT_UNITS} units in the smaller layer. Use ais"
        )
    for start in range(0, 1 << units, BLOCK):
        h = bits(units, start, min(start + BLOCK, 1 << units))  # (B, H)
        yield h @ c + softplus(h @ W.T + b).sum(1)


def exact_log_z(energy: FreeEnergy) -> float:
    """log Z in nats, by enumeration in float64. Raises ValueError where both layers have more than EXACT_UNITS units."""
    return float(log_sum_exp(np.array([log_sum_exp(terms) for terms in _log_terms(energy)])))


def exact_samples(energy: FreeEnergy, n: int, key: Key) -> Array:
    """n independent samples (n, V) of a model with few hidden units: h from its enumerated distribution, then v given h."""
    if energy.hidden_units > min(EXACT_UNITS, energy.visible_units):
        raise ValueError(f"exact samples need at most {EXACT_UNITS} hidden units, and no more than visible ones")
    terms = np.concatenate(list(_log_terms(energy)))  # (2^H,)
    cumulative = np.cumsum(np.exp(terms - terms.max()))
    u = key.at("h").uniform(n, np.float64) * cumulative[-1]
    states = np.searchsorted(cumulative, u, side="right")
    h = _bits_of(states, energy.hidden_units)  # (n, H)
    v: Array = key.at("v").bernoulli(energy.visible(h.astype(energy.params["W"].dtype)))
    return v.astype(energy.params["W"].dtype)


# ---- in the plane


def grid(extent: float, side: int, dtype: DTypeLike = np.float64) -> Array:
    """The middles of side x side cells of [-extent, extent]^2, row by row from the lowest y: (side^2, 2)."""
    ticks = (np.arange(side) + 0.5) * (2 * extent / side) - extent
    return np.stack(np.meshgrid(ticks, ticks), -1).reshape(-1, 2).astype(dtype)


def log_z_on_square(energy: Layer, extent: float, dtype: DTypeLike = np.float64, side: int = 256) -> float:
    """log of the integral of e^-E over [-extent, extent]^2, nats, by the midpoint rule on side x side cells."""
    E = energy.forward(grid(extent, side, dtype))[0].astype(np.float64)  # (side^2, 1)
    return log_sum_exp(-E) + 2 * math.log(2 * extent / side)


class OfParameters:
    """A value that depends on the parameters alone and costs much: computed again only when they have changed."""

    def __init__(self) -> None:
        self._theta: Array | None = None
        self._value: Any = None

    def __call__(self, theta: Array, compute: Callable[[], Any]) -> Any:
        """compute(), or what it gave for these parameters the last time."""
        theta = to_device(theta, "cpu")
        if self._theta is None or not np.array_equal(self._theta, theta):
            self._value, self._theta = compute(), theta.copy()
        return self._value


# ---- annealing


class Seen(NamedTuple):
    """Some states and what both the energies and the sweep need of them."""

    v: Array  # (N, V)
    act: Array  # (N, H), v W + c
    parts: Array  # (N, M), log q_m(v)


class Annealing:
    """The path to the model from independent bits of mean `means` (V,), or a mixture of such (M, V), in `steps` equal steps.

    The index m of the mixture's parts q_m(v) is one more hidden variable, and summed out:

        f_beta(v) = sum_m q_m(v)^(1 - beta) e^(beta v'b) prod_j (1 + e^(beta (v W + c)_j))       Z_0 = M 2^H,  Z_1 = M Z
    """

    def __init__(self, energy: FreeEnergy, means: Array, steps: int) -> None:
        w = energy.weights()
        self.W, self.b, self.c, self.steps = w.W, w.b, w.c, steps
        inside = np.clip(np.atleast_2d(means), 0.01, 0.99)  # a bit that the data never sets may still be set by the model
        self.a = np.log(inside / (1 - inside)).astype(self.W.dtype)  # (M, V), log-odds
        self.log_norm = -softplus(self.a.astype(np.float64)).sum(1)  # (M,)
        self.log_z0 = energy.hidden_units * math.log(2)  # without M, which cancels

    def base(self, chains: int, key: Key) -> Array:
        """Samples of f_0: (chains, V)."""
        m = key.at("m").integers(len(self.a), chains)
        return key.at("v").bernoulli(sigmoid(self.a[m]), dtype=self.W.dtype)

    def see(self, v: Array) -> Seen:
        return Seen(v, matmul(v, self.W) + self.c, matmul(v, self.a, transpose_b=True) + self.log_norm)

    def log_f(self, beta: float, seen: Seen) -> Array:
        """log f_beta(v): (N,) float64."""
        parts = (1 - beta) * seen.parts
        top = parts.max(1)
        mixture = top + np.log(np.exp(parts - top[:, None]).sum(1))
        return mixture + (beta * (seen.v @ self.b) + softplus(beta * seen.act).sum(1)).astype(np.float64)

    def sweep(self, beta: float, seen: Seen, key: Key) -> Array:
        """A Gibbs sweep that leaves f_beta as it is: h and m given v, then v given both. (N, V)."""
        h = key.at("h").bernoulli(sigmoid(beta * seen.act), dtype=seen.act.dtype)
        a = self.a
        if len(a) > 1:  # the largest of log-probabilities with Gumbel noise is a draw
            gumbel = -np.log(-np.log(key.at("m").uniform(seen.parts.shape, np.float64)))
            a = a[((1 - beta) * seen.parts + gumbel).argmax(1)]  # (N, V)
        odds = beta * (matmul(h, self.W, transpose_b=True) + self.b) + (1 - beta) * a
        return key.at("v").bernoulli(sigmoid(odds), dtype=seen.act.dtype)

    def walk(self, v: Array, key: Key, *, back: bool = False) -> Array:
        """log w (N,) of chains that start at v (N, V): from the base to the model, or back."""
        betas = [k / self.steps for k in range(self.steps + 1)]
        if back:
            betas.reverse()
        log_w, seen = np.zeros(len(v)), self.see(v)
        for k in range(self.steps):
            if k:  # v is a sample of the first one as it is
                seen = self.see(self.sweep(betas[k], seen, key.at(k)))
            log_w += self.log_f(betas[k + 1], seen) - self.log_f(betas[k], seen)
        return log_w


def chain_means(energy: FreeEnergy, v: Array, sweeps: int, key: Key) -> Array:
    """Where `sweeps` Gibbs sweeps from v (M, V) lead: the means p(v' = 1 | h) of the last one, (M, V), a base for annealing.

    A base that knows the model's modes leaves annealing little to find. From data, the chains of a trained model reach the
    modes that it has there and, given many sweeps, in about the model's proportions; what they leave out, each part, which is
    a distribution over all states, still reaches. The base is fixed before annealing starts, so E w = Z / Z_0 holds for any.
    """
    for i in range(sweeps):
        v = energy.gibbs(energy.hidden(v), key.at(i))
    means: Array = energy.visible(key.at("h").bernoulli(energy.hidden(v), dtype=v.dtype))
    return means


def ais(energy: FreeEnergy, means: Array, *, chains: int, steps: int, key: Key) -> LogZ:
    """log Z from `chains` walks from independent bits of mean `means` (V,), or a mixture of such (M, V), to the model.

    It is too low on average, by Jensen. A mode that few chains reach makes the weights vary however small the steps are; a
    mixture whose parts lie in the modes, such as smoothed images of the data or `chain_means`, mends that.
    """
    path = Annealing(energy, means, steps)
    log_w = path.walk(path.base(chains, key.at("base")), key.at("walk"))
    return LogZ(path.log_z0 + log_mean_exp(log_w), delta_error(log_w), log_w)


def reverse_ais(energy: FreeEnergy, means: Array, samples: Array, *, steps: int, key: Key) -> LogZ:
    """log Z from walks back that start at `samples` (N, V) of the model: too high on average, if they are its samples."""
    path = Annealing(energy, means, steps)
    log_w = path.walk(samples, key.at("walk"), back=True)
    return LogZ(path.log_z0 - log_mean_exp(log_w), delta_error(log_w), log_w)


def log_sum_exp(a: Array) -> float:
    """log sum e^a, at the largest so that nothing overflows."""
    top = a.max()
    return float(top + np.log(np.exp(a - top).sum()))


def log_mean_exp(a: Array) -> float:
    """log (mean e^a)."""
    return log_sum_exp(a) - math.log(len(a))


def delta_error(log_w: Array) -> float:
    """The standard error of log (mean w), nats: sd(w) / (sqrt(N) mean(w)). NaN of a single chain."""
    w = np.exp(log_w - log_w.max())
    return float(w.std(ddof=1) / (math.sqrt(len(w)) * w.mean())) if len(w) > 1 else math.nan
