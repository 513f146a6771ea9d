"""Partition functions: enumeration against the double sum, annealing against its exact expectations, quadrature."""

import math

import numpy as np
import pytest

from minigen.layers import FreeEnergy
from minigen.layers.elementwise import Elementwise
from minigen.models import partition
from minigen.models.partition import (
    Annealing,
    LogZ,
    OfParameters,
    ais,
    bits,
    chain_means,
    delta_error,
    exact_log_z,
    exact_samples,
    grid,
    log_mean_exp,
    log_sum_exp,
    log_z_on_square,
    reverse_ais,
)
from minigen.random import Key

KEY = Key(41)


def energy(visible=5, hidden=3, scale=1.0):
    net = FreeEnergy(visible, hidden).initialise(KEY.at("net"), np.float64)
    net.vector.theta[...] = scale * KEY.at("theta").normal(net.vector.theta.shape, np.float64)
    return net


def by_definition(net):
    """log of the sum over v and h of e^(v'b + h'c + v'W h), and p(v)."""
    W, b, c = (net.params[name] for name in "Wbc")
    v, h = bits(len(b), 0, 1 << len(b)), bits(len(c), 0, 1 << len(c))
    joint = np.exp((v @ b)[:, None] + h @ c + v @ W @ h.T)
    return np.log(joint.sum()), joint.sum(1) / joint.sum()


@pytest.mark.parametrize("sizes", [(5, 3), (3, 5), (4, 4), (1, 2)])
def test_the_exact_sum_is_the_double_sum(sizes, monkeypatch):
    net = energy(*sizes)
    expected = by_definition(net)[0]
    assert exact_log_z(net) == pytest.approx(expected, rel=1e-13)
    monkeypatch.setattr(partition, "BLOCK", 3)  # blocks that do not divide the number of states
    assert exact_log_z(net) == pytest.approx(expected, rel=1e-13)


def test_a_float32_model_is_summed_in_float64():
    net = energy(scale=3.0)
    assert exact_log_z(net.clone(np.float32)) == pytest.approx(exact_log_z(net), rel=1e-6)


def test_exact_samples_are_samples():
    net, n = energy(), 50_000
    p = by_definition(net)[1]
    v = exact_samples(net, n, KEY.at("samples"))
    counts = np.bincount((v @ (1 << np.arange(5))).astype(int), minlength=32)
    chi2 = ((counts - n * p) ** 2 / (n * p)).sum()
    assert chi2 < 31 + 6 * math.sqrt(2 * 31)


# ---- annealing: with few steps the weights vary much, and their expectation is exact all the same


MIXTURE = np.array([[0.2, 0.9, 0.5, 0.3, 0.6], [0.7, 0.1, 0.4, 0.8, 0.5], [0.5, 0.5, 0.05, 0.9, 0.99]])


@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("mean", [np.linspace(0.2, 0.7, 5), MIXTURE], ids=["bits", "a mixture"])
def test_the_weights_of_both_ways_have_exact_expectations(steps, mean):
    net, n = energy(), 40_000
    log_z = by_definition(net)[0]
    there = ais(net, mean, chains=n, steps=steps, key=KEY.at("there"))
    back = reverse_ais(net, mean, exact_samples(net, n, KEY.at("start")), steps=steps, key=KEY.at("back"))
    for found in (there, back):
        assert 1e-3 < found.error < 0.1
        assert abs(found.value - log_z) < 5 * found.error


def test_more_temperatures_less_error_and_the_truth_between_the_two_ways():
    net, mean = energy(scale=2.5), np.full(5, 0.5)
    log_z = by_definition(net)[0]
    few, many = (ais(net, mean, chains=500, steps=steps, key=KEY.at("k", steps)) for steps in (5, 200))
    assert many.error < 0.5 * few.error
    ways = []
    for i in range(60):  # single chains: log w itself, too low on average on the way there and too high on the way back
        key = KEY.at("one", i)
        forward = ais(net, mean, chains=1, steps=5, key=key.at("there")).value
        ways.append((forward, reverse_ais(net, mean, exact_samples(net, 1, key), steps=5, key=key.at("back")).value))
    low, high = np.mean(ways, 0)
    assert low < log_z - 0.1 < log_z + 0.1 < high


def test_a_sweep_leaves_its_temperature_as_it_is():
    """40,000 chains from the enumerated f_beta, before and after one sweep, for a mixture of three."""
    net, n, states = energy(scale=2.0), 40_000, bits(5, 0, 32)
    path = Annealing(net, MIXTURE, 10)
    f = np.exp(path.log_f(0.4, path.see(states)))
    p = f / f.sum()
    start = np.repeat(np.arange(32), np.round(n * p).astype(int))
    swept = path.sweep(0.4, path.see(states[start]), KEY.at("sweep"))
    counts = np.bincount((swept @ (1 << np.arange(5))).astype(int), minlength=32)
    assert ((counts - len(start) * p) ** 2 / (len(start) * p)).sum() < 31 + 6 * math.sqrt(2 * 31)
    assert path.log_z0 + math.log(3) == pytest.approx(np.log(np.exp(path.log_f(0.0, path.see(states))).sum()))
    assert path.log_f(1.0, path.see(states)) == pytest.approx(math.log(3) - net.forward(states)[0])


def test_a_mixture_finds_a_mode_that_bits_of_one_mean_miss():
    """40 bits that are nearly all 0, or nearly all 1, with equal probability: from the one mode no chain reaches the other."""
    net = FreeEnergy(40, 1).initialise(KEY, np.float64)
    for name, value in (("W", 6.0), ("b", -3.0), ("c", -120.0)):
        net.params[name][...] = value
    exact, modes = exact_log_z(net), np.array([np.full(40, 0.05), np.full(40, 0.95)])
    one, both = (ais(net, means, chains=400, steps=30, key=KEY.at("two")) for means in (modes[0], modes))
    assert one.value == pytest.approx(exact - math.log(2), abs=0.05)  # half of Z is missing, and the error does not tell
    assert one.error < 0.05
    assert abs(both.value - exact) < 5 * both.error
    assert both.error < 0.1


def test_the_means_of_chains_make_a_base_that_leaves_little_to_find():
    """12 bits and 8 hidden units, large weights: with 100 parts from chains, six times as many of the chains count."""
    net = FreeEnergy(12, 8).initialise(KEY.at("net"), np.float64)
    net.vector.theta[...] = 3 * KEY.at("large").normal(net.vector.theta.shape, np.float64)
    exact, start = exact_log_z(net), exact_samples(net, 100, KEY.at("start"))
    means = chain_means(net, start, 20, KEY.at("chains"))
    assert means.shape == (100, 12)
    assert ((means > 0) & (means < 1)).all()
    plain, informed = (ais(net, base, chains=400, steps=20, key=KEY.at("base")) for base in (np.full(12, 0.5), means))
    assert informed.error < 0.4 * plain.error
    assert abs(informed.value - exact) < 5 * informed.error


def test_the_standard_error_is_one():
    """Of 100 estimates, each by its own error: the spread is 1 but for that of 100 numbers."""
    net, mean = energy(), np.full(5, 0.5)
    log_z = by_definition(net)[0]
    found = [ais(net, mean, chains=300, steps=4, key=KEY.at("many", i)) for i in range(100)]
    z = [(one.value - log_z) / one.error for one in found]
    assert 0.75 < np.std(z) < 1.3
    assert abs(np.mean(z)) < 0.5


def test_delta_error_and_log_sums_do_not_overflow():
    log_w = np.log(np.array([1.0, 2.0, 3.0, 6.0]))
    assert delta_error(log_w + 5000) == pytest.approx(np.std([1, 2, 3, 6], ddof=1) / (2 * 3))
    assert log_sum_exp(log_w + 5000) == pytest.approx(5000 + math.log(12))
    assert log_mean_exp(log_w - 5000) == pytest.approx(math.log(3) - 5000)
    assert math.isnan(delta_error(log_w[:1]))


def test_too_many_states_are_refused_with_the_way_out():
    with pytest.raises(ValueError, match=r"2\^21 states .* Use ais"):
        exact_log_z(FreeEnergy(30, 21).initialise(KEY))
    with pytest.raises(ValueError, match="at most 20 hidden units"):
        exact_samples(FreeEnergy(30, 21).initialise(KEY), 3, KEY)


# ---- the plane, and values that are kept


class Bowl(Elementwise):
    """|x|^2 / 2 a row: a standard Gaussian."""

    def forward(self, x, *, train=False, key=None):
        return 0.5 * (x * x).sum(1, keepdims=True), None


def test_quadrature_of_a_gaussian():
    assert log_z_on_square(Bowl(), 8.0, side=200) == pytest.approx(math.log(2 * math.pi), abs=1e-12)
    points = grid(2.0, 4)
    assert points.shape == (16, 2)
    assert points[0].tolist() == [-1.5, -1.5]
    assert points[1].tolist() == [-0.5, -1.5]


def test_a_kept_value_is_computed_again_when_the_parameters_move():
    kept, calls, theta = OfParameters(), [], np.zeros(3)

    def compute():
        calls.append(1)
        return LogZ(len(calls), 0.0)

    assert kept(theta, compute).value == kept(theta, compute).value == 1
    theta[1] = 1e-12
    assert kept(theta, compute).value == 2
