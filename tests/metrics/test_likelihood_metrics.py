"""Nats and bits, and the likelihood of flows: against closed forms, an unbiased trace, the models' own."""

import math

import numpy as np
import pytest
from scipy.linalg import expm

from minigen.data import density
from minigen.metrics.nats import bits_per_dimension, dequantised, discrete_nats, excess_nats, nats_of_bits
from minigen.metrics.probability_flow import diffusion_field, flow_log_likelihood, log_likelihood
from minigen.models.ddpm import DDPM
from minigen.models.flow_matching import FlowMatching
from minigen.random import Key


def normal(shape, *path):
    return Key(9).at(*path).normal(shape, np.float64)


# ---- nats and bits


def test_the_constants_are_those_of_the_cells():
    """A density that is uniform on all of the cube says 8 bits, on [0, 1] as on [-1, 1]."""
    D = 12
    assert bits_per_dimension(discrete_nats(np.zeros(1), D), D) == pytest.approx(8)
    assert bits_per_dimension(discrete_nats(np.full(1, -D * math.log(2)), D, width=2), D) == pytest.approx(8)
    assert bits_per_dimension(discrete_nats(np.zeros(1), D, width=2), D) == pytest.approx(7)
    assert bits_per_dimension(discrete_nats(np.zeros(1), D, levels=2), D) == pytest.approx(1)
    assert nats_of_bits(bits_per_dimension(81.3, 784), 784) == pytest.approx(81.3)
    with pytest.raises(ValueError, match="dims must be above 0, got 0"):
        bits_per_dimension(1.0, 0)


def test_dequantisation_is_a_bound_on_the_mass_of_the_cells():
    """p(x) = 2 x on [0, 1]: P(k) = (2 k + 1) / K^2. The bound is below by what Jensen costs, most at k = 0: 1 - log 2."""
    K = 8
    k = np.arange(K, dtype=np.uint8)[:, None]
    exact = -np.log((2 * k[:, 0] + 1.0) / K**2)
    log_p = np.mean([np.log(2 * dequantised(k, Key(i), levels=K)[:, 0]) for i in range(2000)], 0)
    found = discrete_nats(log_p, 1, levels=K)
    assert (found > exact - 0.01).all()
    assert found[0] - exact[0] == pytest.approx(1 - math.log(2), abs=0.05)
    assert found[-1] - exact[-1] == pytest.approx(0, abs=0.01)


def test_noise_belongs_to_its_row():
    k = Key(0).integers(256, (6, 3, 2)).astype(np.uint8)
    whole = dequantised(k, Key(1))
    np.testing.assert_array_equal(whole, np.concatenate([dequantised(k[:4], Key(1)), dequantised(k[4:], Key(1), first=4)]))
    np.testing.assert_array_equal(np.floor(whole * 256), k)
    with pytest.raises(ValueError, match=r"integers in 0 \.\. 255, got float64"):
        dequantised(whole, Key(1))


def test_the_excess_of_the_truth_is_zero_and_of_another_gaussian_the_divergence():
    ring = density("gaussians8")
    x = ring.sample(5000, Key(2))
    plain = excess_nats(ring.log_density(x), ring.entropy)
    assert abs(plain.mean()) < 4 * plain.std() / math.sqrt(5000)
    assert (excess_nats(ring.log_density(x), ring.entropy, ring.log_density(x)) == 0).all()
    z = normal((20_000,), "z")
    log_p = lambda s: -0.5 * (z / s) ** 2 - math.log(s) - 0.5 * math.log(2 * math.pi)
    entropy, kl = 0.5 * math.log(2 * math.pi * math.e), math.log(1.1) + 0.5 / 1.21 - 0.5
    scattered, paired = excess_nats(log_p(1.1), entropy), excess_nats(log_p(1.1), entropy, log_p(1.0))
    assert paired.mean() == pytest.approx(kl, abs=4 * paired.std() / math.sqrt(20_000))
    assert paired.std() < 0.3 * scattered.std()
    with pytest.raises(ValueError, match=r"got \(20000,\) and \(3,\)"):
        excess_nats(log_p(1.0), entropy, np.zeros(3))


# ---- flows with a closed form


A = np.array([[0.3, -0.8, 0.1], [0.5, -0.2, 0.4], [0.0, 0.3, 0.6]])


def linear(x, t):
    """dx/dt = A x, from noise at t = 0: the data are N(0, e^A e^A')."""
    return x @ A.T, lambda u: u @ A.T


def closed(x):
    M = expm(A)
    S = M @ M.T
    return -0.5 * (np.einsum("ni,ij,nj->n", x, np.linalg.inv(S), x) + np.log(np.linalg.det(2 * math.pi * S)))


def test_a_linear_flow_has_the_density_of_its_gaussian():
    x = normal((20, 3), "x")
    errors = [
        np.abs(flow_log_likelihood(linear, x, np.linspace(1, 0, n + 1).tolist()).log_p - closed(x)).max() for n in (50, 100)
    ]
    assert errors[1] < 1e-3
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.1)  # Heun's rule is of second order


def test_hutchinson_is_unbiased_its_error_is_true_and_rows_are_on_their_own():
    x, times = normal((5, 3), "x"), np.linspace(1, 0, 41).tolist()
    exact = flow_log_likelihood(linear, x, times).log_p
    found = flow_log_likelihood(linear, x, times, probes=2000, key=Key(0))
    assert (np.abs(found.log_p - exact) < 4 * found.error).all()
    spread = math.sqrt(((A + A.T)[np.triu_indices(3, 1)] ** 2).sum())  # of one probe
    np.testing.assert_allclose(found.error * math.sqrt(2000), spread, rtol=0.1)
    parts = [flow_log_likelihood(linear, x[a:b], times, probes=4, key=Key(1), first=a).log_p for a, b in ((0, 2), (2, 5))]
    np.testing.assert_allclose(
        np.concatenate(parts), flow_log_likelihood(linear, x, times, probes=4, key=Key(1)).log_p, rtol=1e-12
    )
    assert flow_log_likelihood(linear, x, times, probes=1, key=Key(0)).error is None
    with pytest.raises(ValueError, match="a key for its probes; got 41 times and 3 probes"):
        flow_log_likelihood(linear, x, times, probes=3)


# ---- models


def test_flow_matching_gives_its_own_likelihood():
    model = FlowMatching((2,), Key(3), np.float64, width=16)
    x = normal((6, 2), "points")
    np.testing.assert_allclose(log_likelihood(model, x, steps=24).log_p, model.log_likelihood(x, 24), rtol=1e-10)


def test_images_by_hutchinson_are_their_exact_trace():
    model = FlowMatching((4, 4, 1), Key(3), np.float64, width=16)
    x = 0.5 * normal((2, 4, 4, 1), "images")
    exact = log_likelihood(model, x, steps=3).log_p
    found = log_likelihood(model, x, steps=3, probes=60, key=Key(0))
    assert (np.abs(found.log_p - exact) < 4 * found.error).all()
    assert (found.error > 0).all()


class Knows:
    """A network that says E[v], E[eps] or E[x_0] given x_t where the data are N(0, c^2)."""

    def __init__(self, model, c):
        self.bar, self.c = model.schedule.alpha_bar, c
        self.kind, self.unit = model.prediction, model.inputs(np.zeros((1, 2)), np.array([2.0]))[1][0]

    def forward(self, inputs):
        x, time = inputs
        angles = np.arctan2(np.sqrt(1 - self.bar), np.sqrt(self.bar))
        phi = np.interp(time / self.unit + 1, np.arange(len(angles)), angles)[:, None]
        a, s = np.cos(phi), np.sin(phi)
        var = (a * self.c) ** 2 + s**2
        factor = {"v": (a * s - s * a * self.c**2) / var, "noise": s / var, "x0": a * self.c**2 / var}[self.kind]
        return factor * x, factor

    def jvp(self, moved, factor):
        return factor * moved[0], None


@pytest.mark.parametrize("prediction", ["v", "noise", "x0"])
def test_the_probability_flow_of_a_diffusion_has_the_density_of_its_data(prediction):
    schedule = "linear" if prediction == "noise" else "cosine"
    model = DDPM((2,), Key(0), np.float64, width=8, prediction=prediction, schedule=schedule, T=1000)
    model.net, c = Knows(model, 0.5), 0.5
    field, start, end = diffusion_field(model)
    x = c * normal((8, 2), "gauss")
    found = flow_log_likelihood(field, x, np.linspace(start, end, 401).tolist()).log_p
    exact = -0.5 * ((x / c) ** 2).sum(1) - 2 * math.log(c) - math.log(2 * math.pi)
    np.testing.assert_allclose(found, exact, atol=0.01)


def test_a_diffusion_of_random_weights_is_a_density():
    model = DDPM((2,), Key(1), np.float64, width=16)
    along = np.linspace(-6, 6, 61)
    x = np.stack(np.meshgrid(along, along), 2).reshape(-1, 2)
    assert (np.exp(log_likelihood(model, x, steps=30).log_p) * 0.2**2).sum() == pytest.approx(1, abs=0.02)
