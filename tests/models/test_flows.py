"""Flows of points and rows: proofs, the likelihood is one, samples are the density's, temperature, ways between points."""

import numpy as np
import pytest

from minigen.check import prove
from minigen.data.densities import density
from minigen.models.neural_spline_flow import NeuralSplineFlow
from minigen.models.realnvp import RealNVP
from minigen.random import Key

KEY = Key(50)
POINTS = 2 * KEY.at("points").normal((6, 2), np.float64)
FLOWS = {
    "affine": lambda shape=(2,), dtype=np.float64, **o: RealNVP(shape, KEY.at("model"), dtype, depth=4, hidden=8, **o),
    "spline": lambda shape=(2,), dtype=np.float64, **o: NeuralSplineFlow(
        shape, KEY.at("model"), dtype, depth=3, hidden=8, **{"bins": 5, **o}
    ),
}


def stirred(kind, size=0.15, **options):
    """One with random parameters: far from the identity, and still tame enough for a grid."""
    model = FLOWS[kind](**options)
    model.theta += size * KEY.at("stir").normal(model.theta.shape, np.float64).astype(model.dtype)
    return model


@pytest.fixture(scope="module")
def trained():
    """A spline flow of two moons, in float32."""
    model, moons = NeuralSplineFlow((2,), KEY, depth=3, hidden=32, bins=12), density("moons")
    model.start(4e-3, 400)
    for i in range(400):
        model.step(moons.sample(256, KEY.at("data", i)).astype(np.float32), KEY.at("step", i))
    return model


# ---- proofs


@pytest.mark.parametrize("kind", FLOWS)
@pytest.mark.parametrize("options", [{}, {"shape": (5,)}], ids=str)
def test_the_gradient_is_proved(kind, options):
    D = options.get("shape", (2,))[0]
    prove(FLOWS[kind](**options), 2 * KEY.at("rows").normal((5, D), np.float64), KEY.at("proof"))


def test_the_gradient_without_stored_activations_is_proved():
    """Of affine couplings; a spline that random parameters bend flat has an inverse that loses digits. See below for it."""
    prove(FLOWS["affine"](store=False), POINTS, KEY.at("proof"))


def test_a_flow_begins_as_the_identity_and_its_loss_is_the_priors():
    for make in FLOWS.values():
        model = make()
        terms, _ = model.objectives[0](model, POINTS, None, backward=False)
        np.testing.assert_allclose(model.encode(POINTS), POINTS, rtol=1e-13)
        assert terms["prior"] == pytest.approx((0.5 * (POINTS**2).sum(1) + np.log(2 * np.pi)).mean(), rel=1e-12)
        assert abs(terms["volume"]) < 1e-13


def test_the_objective_is_the_mean_of_minus_log_prob():
    model = stirred("spline")
    terms, _ = model.objectives[0](model, POINTS, None, backward=False)
    assert sum(terms.values()) == pytest.approx(-model.log_prob(POINTS).mean(), rel=1e-12)
    assert model.evaluate(POINTS, KEY)["negative_log_likelihood"] == pytest.approx(sum(terms.values()), rel=1e-12)


# ---- it is a density


def grid(reach, side):
    """The middles of the cells of a square, and a cell's area."""
    line = (np.arange(side) + 0.5) / side * 2 * reach - reach
    return np.stack(np.meshgrid(line, line), -1).reshape(-1, 2), (2 * reach / side) ** 2


@pytest.mark.parametrize("kind", FLOWS)
def test_the_density_integrates_to_one_and_its_mean_is_that_of_the_samples(kind):
    model = stirred(kind)
    x, area = grid(12.0, 500)
    p = np.exp(model.log_prob(x))
    assert p.sum() * area == pytest.approx(1, abs=2e-3)
    samples = model.sample(20_000, KEY.at("samples"))
    for power in (1, 2):
        truth = (p[:, None] * x**power).sum(0) * area
        values = samples**power
        error = values.std(0) / np.sqrt(len(values))
        assert (np.abs(values.mean(0) - truth) < 4.5 * error).all(), (power, values.mean(0), truth, error)
    assert np.abs(samples.std(0) - 1).max() > 0.1  # away from the prior


@pytest.mark.parametrize("kind", FLOWS)
def test_a_sample_comes_from_its_latent(kind):
    model = stirred(kind)
    x = model.sample(50, KEY.at("few"))
    np.testing.assert_allclose(model.encode(x), model.latent(50, KEY.at("few")), atol=1e-8)


@pytest.mark.parametrize("kind", FLOWS)
def test_temperature_scales_the_latents(kind):
    model = stirred(kind)
    cold, warm = (model.encode(model.sample(4000, KEY.at("t"), temperature=t)) for t in (0.5, 1.0))
    np.testing.assert_allclose(cold, 0.5 * warm, atol=1e-7)
    one = model.sample(3, KEY, temperature=0.0)
    np.testing.assert_allclose(one, model.decode(np.zeros((3, 2))), atol=1e-12)


def test_interpolation_goes_from_one_point_to_the_other():
    model = stirred("affine")
    way = model.interpolate(POINTS[0], POINTS[1], 7)
    np.testing.assert_allclose(way[[0, -1]], POINTS[:2], atol=1e-9)
    z = model.encode(way)
    np.testing.assert_allclose(np.diff(z, 2, axis=0), 0, atol=1e-9)


# ---- training


def test_training_learns_the_moons(trained):
    x = density("moons").sample(20_000, KEY.at("test")).astype(np.float32)
    excess = -trained.log_prob(x).mean() - density("moons").entropy
    assert 0 < excess < 0.25  # 1.4 at the start; never below the entropy, by more than the test points' own error


def test_float32_is_the_same_density(trained):
    twin = trained.astype(np.float64)
    x = density("moons").sample(500, KEY.at("few"))
    difference = np.abs(trained.log_prob(x.astype(np.float32)) - twin.log_prob(x))
    assert np.median(difference) < 1e-5
    assert difference.max() < 2e-2
    back = trained.decode(trained.encode(x.astype(np.float32)))
    assert np.median(np.abs(back - x)) < 1e-5


@pytest.mark.parametrize(("kind", "bound"), [("affine", 1e-5), ("spline", 1e-4)])
def test_without_stored_activations_a_trained_flows_gradient_keeps_its_bound(kind, bound):
    """In float32, relative to its norm, with networks of the recipes' size; in float64 it is the stored one."""
    board = density("checkerboard")
    model = (RealNVP if kind == "affine" else NeuralSplineFlow)((2,), KEY)
    model.start(4e-3, 100)
    for i in range(100):
        model.step(board.sample(256, KEY.at("data", i)).astype(np.float32), KEY.at("step", i))
    for dtype, limit in ((np.float32, bound), (np.float64, 1e-11)):
        twin, grads = model.astype(dtype), []
        for store in (True, False):
            twin.flow.store = store
            twin.zero_grads()
            twin.objectives[0](twin, board.sample(500, KEY.at("more")).astype(dtype), None)
            grads.append(twin.grad.copy())
        error = np.linalg.norm(grads[1] - grads[0]) / np.linalg.norm(grads[0])
        assert 0 < error < limit, dtype


def test_without_stored_activations_training_is_the_same():
    """In float32, 30 steps: the parameters part by rounding alone."""
    ends = []
    for store in (True, False):
        model = FLOWS["affine"](dtype=np.float32, store=store)
        model.start(3e-3, 30)
        for i in range(30):
            model.step(density("moons").sample(64, KEY.at("data", i)).astype(np.float32), KEY.at("step", i))
        ends.append(model.theta.copy())
    start = FLOWS["affine"](dtype=np.float32).theta
    assert np.linalg.norm(ends[0] - ends[1]) < 1e-3 * np.linalg.norm(ends[0] - start)


def test_a_gradient_is_clipped():
    model = stirred("affine", clip=1e-3)
    model.start(1e-3, 10)
    model.step(POINTS, KEY)
    assert np.linalg.norm(model.grad) == pytest.approx(1e-3, rel=1e-6)


def test_pictures_show_samples_and_the_density(trained):
    x = density("moons").sample(100, KEY).astype(np.float32)

    class Rows:
        images = x

    pictures = trained.pictures(Rows, KEY)
    assert pictures["samples"].shape == (10_000, 2)
    heat = pictures["density"]
    assert heat.shape == (1, 1, 200, 200, 1)
    assert heat.min() == 0
    reach = 1.1 * np.abs(x).max()
    column, row = ((x + reach) / (2 * reach) * 200).astype(int).T
    assert heat[0, 0, 199 - row, column, 0].mean() < heat.mean() - 0.3  # dark where points are, y upwards
    assert FLOWS["affine"](shape=(4,)).pictures(Rows, KEY) == {}


def test_first_weights_are_those_asked_for():
    model = FLOWS["affine"](initialiser="ones", spread=2.0)
    first = dict(model.flow.named())
    assert (first["1.net.hidden2.W"] == 1).all()
    b = np.concatenate([first[f"{i}.net.hidden1.b"] for i in range(4)])  # 32 of them
    assert 1.5 < np.abs(b).max() < 2
    assert (b < 0).any()
    assert (first["0.net.out.W"] == 0).all()
    with pytest.raises(ValueError, match="unknown initialiser 'he'"):
        FLOWS["spline"](initialiser="he")


@pytest.mark.parametrize("shape", [(1,), (2, 2)])
def test_rows_that_cannot_be_halved_are_refused(shape):
    with pytest.raises(ValueError, match="rows of at least 2 numbers"):
        FLOWS["affine"](shape=shape)
