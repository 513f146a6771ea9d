"""The RBM: proofs, what its samplers have as expectation, centring as a change of coordinates, training and its figures."""

from types import SimpleNamespace

import numpy as np
import pytest

from minigen.check import prove
from minigen.layers import FreeEnergy
from minigen.layers.elementwise import sigmoid
from minigen.models import partition
from minigen.models.contrast import Negatives
from minigen.models.partition import bits, exact_log_z
from minigen.models.rbm import RBM, center
from minigen.random import Key
from minigen.training import Run, load_model

KEY = Key(40)
SHAPE = (2, 2, 1)
V = KEY.at("V").bernoulli(0.4, (20, 4)).astype(np.float64)
EVERY, HIDDEN = bits(4, 0, 16), bits(3, 0, 8)


def stirred(dtype=np.float64, **options):
    """A small one with large weights: 4 visible, 3 hidden units."""
    model = RBM(SHAPE, KEY.at("model"), dtype, **{"hidden": 3, "chains": 50, **options})
    model.theta[...] = KEY.at("theta").normal(model.theta.shape, np.float64)
    return model


def distribution(model):
    """p(v) of all 16 images, by its definition: a sum over h of e^-E, for every v."""
    W, b, c = (model.energy.params[name] for name in "Wbc")
    E = -EVERY @ b[:, None] - HIDDEN @ c - EVERY @ W @ HIDDEN.T  # (16, 8)
    joint = np.exp(-E)
    return joint.sum(1) / joint.sum()


def table(model):
    """p(v' | v) of one Gibbs sweep, (16, 16): sum over h of p(v'|h) p(h|v)."""
    W, b, c = (model.energy.params[name] for name in "Wbc")
    p_h, p_v = sigmoid(EVERY @ W + c), sigmoid(HIDDEN @ W.T + b)
    h_given_v = np.prod(np.where(HIDDEN == 1, p_h[:, None], 1 - p_h[:, None]), -1)  # (16, 8)
    v_given_h = np.prod(np.where(EVERY == 1, p_v[:, None], 1 - p_v[:, None]), -1)  # (8, 16)
    return h_given_v @ v_given_h


def gradient(model, samples, batch=V):
    model.zero_grads()
    model.objectives[0](model, batch, Negatives(samples))
    return model.grad.copy()


# ---- energy and gradient


@pytest.mark.parametrize("options", [{}, {"persistent": False, "k": 3}, {"centered": False}], ids=str)
def test_the_contrast_is_proved(options):
    prove(stirred(**options), V, KEY.at("proof"))


def test_the_free_energy_is_minus_the_log_of_the_sum_over_the_hidden_units():
    model = stirred()
    F = model.energy.forward(EVERY)[0]
    np.testing.assert_allclose(np.exp(-F - exact_log_z(model.energy)), distribution(model), rtol=1e-12)


def test_the_conditionals_are_those_of_the_joint_distribution():
    model = stirred()
    W, b, c = (model.energy.params[name] for name in "Wbc")
    joint = np.exp(EVERY @ b[:, None] + HIDDEN @ c + EVERY @ W @ HIDDEN.T)  # (16, 8)
    np.testing.assert_allclose(model.energy.hidden(EVERY), joint @ HIDDEN / joint.sum(1, keepdims=True), rtol=1e-12)
    np.testing.assert_allclose(model.energy.visible(HIDDEN), joint.T @ EVERY / joint.sum(0)[:, None], rtol=1e-12)


def test_over_the_models_own_distribution_the_contrast_is_the_gradient_of_the_likelihood():
    """The expectation over p(v), enumerated, against the complex step of the exact -log p."""
    model = stirred()
    p = distribution(model)
    expected = sum(p_v * gradient(model, v[None]) for p_v, v in zip(p, EVERY, strict=True))
    for i in np.flatnonzero(expected):
        twin = model.astype(np.complex128)
        twin.theta[i] += 1e-30j
        F = twin.energy.forward(EVERY)[0]
        nll = twin.energy.forward(V)[0].mean() + np.log(np.exp(-F).sum())
        assert not (abs(nll.imag / 1e-30 - expected[i]) > 1e-12)


def within(sampled, each, p, n):
    """Whether the mean of n independent draws from p of the rows of `each` lies within 5 standard errors of its expectation."""
    expected = p @ each
    spread = np.sqrt(np.maximum(p @ each**2 - expected**2, 0) / n)
    return bool((np.abs(sampled - expected) <= 5 * spread + 1e-12).all())


@pytest.mark.parametrize("k", [1, 3])
def test_contrastive_divergence_has_the_expectation_of_its_chain(k):
    """40,000 chains that start at one image, against k applications of the enumerated table of a sweep."""
    model = stirred(persistent=False, k=k)
    each = np.stack([gradient(model, v[None]) for v in EVERY])  # (16, P)
    noise = model.objectives[0].draw(model, np.tile(EVERY[9], (40_000, 1)), KEY.at("cd"))
    p = np.linalg.matrix_power(table(model), k)[9]
    assert within(gradient(model, noise.samples), each, p, 40_000)
    if k == 1:  # CD is biased, and this can tell
        assert not within(gradient(model, noise.samples), each, distribution(model), 40_000)


def test_long_persistent_chains_have_the_expectation_of_the_model():
    """20,000 chains over 60 steps of the objective, from bits that are no sample of the model."""
    model = stirred(chains=20_000)
    each = np.stack([gradient(model, v[None]) for v in EVERY])
    (contrast,), p = model.objectives, distribution(model)
    np.testing.assert_allclose(p @ table(model), p, rtol=1e-12)  # the model's distribution is where the chain settles
    assert not within(gradient(model, model.state["chain"]), each, p, 20_000)
    for i in range(60):
        noise = contrast.draw(model, V, KEY.at("pcd", i))
        model.commit(noise, contrast(model, V, noise)[1])
    assert within(gradient(model, model.state["chain"]), each, p, 20_000)


def test_cd_starts_at_the_data_and_reuses_its_forward():
    model = stirred(persistent=False)
    (contrast,) = model.objectives
    forwards = {"energy:data": model.energy.forward(V)}
    again, alone = contrast.draw(model, V, KEY, forwards), contrast.draw(model, V, KEY)
    assert np.array_equal(again.samples, alone.samples)
    assert "chain" not in model.state


def test_commit_replaces_state_and_nothing_else_moves_it():
    model = stirred()
    (contrast,), before = model.objectives, dict(model.state)
    kept = {name: value.copy() for name, value in before.items()}
    noise = contrast.draw(model, V, KEY.at("commit"))
    _, forwards = contrast(model, V, noise)
    assert all(model.state[name] is value for name, value in before.items())
    model.commit(noise, forwards)
    assert model.state["chain"] is noise.samples
    np.testing.assert_allclose(model.state["visible_mean"], 0.99 * 0.5 + 0.01 * V.mean(0))
    np.testing.assert_allclose(model.state["hidden_mean"], 0.99 * 0.5 + 0.01 * model.energy.hidden(V).mean(0))
    assert all(np.array_equal(before[name], value) for name, value in kept.items())  # replaced, not written into


# ---- centring


def test_the_centred_gradient_is_a_step_in_centred_coordinates():
    """Biases b + W lam and c + W' mu, a plain step there (Montavon and Mueller), and back, to first order in the rate."""
    model, samples, rate = stirred(), EVERY[KEY.at("s").integers(16, 30)], 1e-7
    mu, lam = np.array([0.1, 0.7, 0.4, 0.9]), np.array([0.3, 0.8, 0.5])
    W, b, c = (model.energy.params[name] for name in "Wbc")
    phases = [(v, model.energy.hidden(v)) for v in (V, samples)]
    up_W = np.subtract(*[(v - mu).T @ (h - lam) / len(v) for v, h in phases])
    up_b, up_c = (np.subtract(*[means.mean(0) for means in pair]) for pair in zip(*phases, strict=True))
    W1 = W + rate * up_W
    b1 = b + W @ lam + rate * up_b - W1 @ lam
    c1 = c + mu @ W + rate * up_c - mu @ W1

    gradient(model, samples)
    center(**model.energy.grads, mu=mu, lam=lam)
    for name, there in (("W", W1), ("b", b1), ("c", c1)):
        down = (model.energy.params[name] - there) / rate
        np.testing.assert_allclose(model.energy.grads[name], down, atol=1e-7)


def test_only_the_centred_gradient_does_not_care_which_bit_is_called_one():
    """The same model of flipped images: W -> -W, b -> -b, c -> c + sum W. Its step must be the same step."""
    model, flipped = stirred(), stirred()
    W, b, c = (model.energy.params[name] for name in "Wbc")
    for name, value in (("W", -W), ("b", -b), ("c", c + W.sum(0))):
        flipped.energy.params[name][...] = value
    samples, mu, lam = EVERY[[3, 5, 11]], V.mean(0), model.energy.hidden(V).mean(0)
    np.testing.assert_allclose(flipped.energy.hidden(1 - V), model.energy.hidden(V), rtol=1e-12)
    for centred in (True, False):
        gradient(model, samples)
        gradient(flipped, 1 - samples, 1 - V)
        if centred:
            center(**model.energy.grads, mu=mu, lam=lam)
            center(**flipped.energy.grads, mu=1 - mu, lam=lam)
        g, f = model.energy.grads, flipped.energy.grads
        same = np.allclose(f["W"], -g["W"], atol=1e-13) and np.allclose(f["c"], g["c"] + g["W"].sum(0), atol=1e-13)
        assert same == centred


# ---- training, figures, samples


@pytest.mark.parametrize("persistent", [True, False])
def test_it_starts_as_independent_bits_of_the_datas_mean(persistent):
    model = RBM(SHAPE, KEY.at("init"), np.float64, hidden=3, chains=4000, persistent=persistent)
    model.energy.params["W"][...] = 0
    data = np.tile(V, (50, 1))
    data[:, 0] = 0  # a bit that is never set
    model.data_init(data, KEY.at("data"))
    np.testing.assert_allclose(model.energy.visible(np.zeros((1, 3)))[0], data.mean(0), atol=2e-3)
    assert np.isfinite(model.theta).all()
    np.testing.assert_allclose(model.state["visible_mean"], data.mean(0), atol=2e-3)
    assert ("chain" in model.state) == persistent
    if persistent:
        np.testing.assert_allclose(model.state["chain"].mean(0), data.mean(0), atol=5 * 0.5 / np.sqrt(4000))


def twins(n):
    """Images whose two halves are equal: 2 ln 2 nats, where independent bits would need 4 ln 2."""
    half = KEY.at("half").bernoulli(0.5, (n, 2)).astype(np.float32)
    return np.concatenate((half, half), 1)


@pytest.mark.parametrize("options", [{}, {"persistent": False}, {"centered": False}], ids=str)
def test_training_lowers_the_exact_negative_log_likelihood(options):
    data = twins(400)
    model = RBM(SHAPE, KEY.at("train"), hidden=6, **options)
    first = model.evaluate(data, KEY)["negative_log_likelihood"]
    assert first == pytest.approx(4 * np.log(2), abs=0.1)
    model.start(0.2, 1500)
    for i in range(1500):
        model.step(data[i % 4 :: 4], KEY.at("step", i))
    assert model.evaluate(data, KEY)["negative_log_likelihood"] < 2.5 * np.log(2)
    samples = model.sample(400, KEY.at("sample")).reshape(400, 4)
    assert np.abs(samples[:, :2] - samples[:, 2:]).mean() < 0.1


def test_the_exact_figure_and_the_annealed_one(monkeypatch):
    model, key = stirred(), KEY.at("evaluate")
    exact = model.evaluate(V, key)
    p = dict(zip(map(tuple, EVERY), distribution(model), strict=True))
    assert exact["negative_log_likelihood"] == pytest.approx(-np.mean([np.log(p[tuple(v)]) for v in V]), rel=1e-12)
    assert "log_z_standard_error" not in exact
    monkeypatch.setattr(partition, "EXACT_UNITS", 2)
    model.theta *= 1 + 1e-15  # other parameters: the value that is kept must not be used
    annealed = model.evaluate(V, key)
    assert 0 < annealed["log_z_standard_error"] < 0.02
    assert abs(annealed["log_z"] - exact["log_z"]) < 5 * annealed["log_z_standard_error"]


def test_the_rate_falls_in_a_straight_line_and_plain_descent_is_plain():
    model = stirred(final_rate=0.2)
    model.start(1.0, 100)
    assert model.optimizers["sgd"].rate(0) == 1
    assert model.optimizers["sgd"].rate(50) == pytest.approx(0.6)
    plain = stirred(centered=False, final_rate=1.0)
    plain.start(0.3, 10)
    before = plain.theta.copy()
    plain.step(V, KEY)
    np.testing.assert_allclose(plain.theta, before - 0.3 * plain.grad, rtol=1e-12)


def test_pixels_are_bits_and_filters_are_weights():
    model = stirred()
    images = np.array([[0.2, 0.6], [0.5, 1.0]]).reshape(1, 2, 2, 1)
    assert model.batch_of(SimpleNamespace(images=images)).tolist() == [[0, 1, 0, 1]]
    filters = model.filters()
    assert filters.shape == (3, *SHAPE)
    assert filters.min() >= 0
    assert filters.max() <= 1
    np.testing.assert_array_equal(filters.reshape(3, 4) > 0.5, model.energy.params["W"].T > 0)


def test_a_stopped_run_goes_on_bit_for_bit(tmp_path):
    given = {"batch": 16, "options": {"hidden": 5, "chains": 7}, "data_options": {"rows": 60, "size": 16}}
    whole = Run.create("rbm", out=tmp_path / "whole", steps=8, **given)
    whole.train(progress=False)
    half = Run.create("rbm", out=tmp_path / "half", steps=8, **given)
    half.train(minutes=0, progress=False)
    resumed = Run.resume(tmp_path / "half")
    assert 0 < resumed.step < 8
    resumed.train(progress=False)
    a, b = (load_model(tmp_path / name).model for name in ("whole", "half"))
    assert np.array_equal(a.theta, b.theta)
    assert all(np.array_equal(a.state[name], b.state[name]) for name in a.state)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="images whose pixels are bits"):
        RBM((2,), KEY)
    with pytest.raises(ValueError, match="chains 0"):
        RBM(SHAPE, KEY, chains=0)
    with pytest.raises(ValueError, match=r"FreeEnergy\(4, 3\) got x of shape \(2, 5\)"):
        FreeEnergy(4, 3).initialise(KEY).forward(np.zeros((2, 5), np.float32))
