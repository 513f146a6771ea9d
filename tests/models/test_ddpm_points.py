"""DDPM in the plane: proved, the score it learns against the score in closed form, its samplers, its field drawn."""

import math

import numpy as np
import pytest

from minigen.check import prove
from minigen.data import density
from minigen.metrics.energy_distance import energy_distance
from minigen.models.ddpm import DDPM, POINTS
from minigen.random import Key
from minigen.training.settings import from_recipe

KEY = Key(0)
RING = density("gaussians8")


@pytest.fixture(scope="module")
def trained():
    """A thousand steps on the ring: v, with the cosine schedule."""
    model = DDPM((2,), KEY.at("model"), width=96, prediction="v", decay=0.99)
    model.start(4e-3, 1000)
    for i in range(1000):
        model.step(RING.sample(256, KEY.at("data", i)).astype(np.float32), KEY.at("step", i))
    return model


def exact_score(x, a, s):
    """Of x_t = a x_0 + s eps, where x_0 is the mixture: a mixture again, of means a mean and variance a^2 sigma^2 + s^2."""
    means, sigma = RING.modes
    variance = (a * sigma) ** 2 + s * s
    away = x[:, None] - a * means
    weights = np.exp(-(away**2).sum(2) / (2 * variance))
    return -(weights[..., None] * away).sum(1) / weights.sum(1)[:, None] / variance


@pytest.mark.parametrize("prediction", ["noise", "x0", "v"])
def test_it_is_proved_on_points(prediction):
    options = {"width": 6, "prediction": prediction, "schedule": "linear"}
    prove(DDPM((2,), KEY, np.float64, **options), RING.sample(5, KEY.at("rows")), KEY.at("proof"))


@pytest.mark.parametrize("t", [300, 600, 900])
def test_the_score_is_that_of_the_noisy_mixture(trained, t):
    a, s = math.sqrt(trained.schedule.alpha_bar[t]), math.sqrt(1 - trained.schedule.alpha_bar[t])
    x = a * RING.sample(500, KEY.at("x", t)) + s * KEY.at("eps", t).normal((500, 2), np.float64)
    with trained.averaged():
        found = trained.score(x.astype(np.float32), t)
    exact = exact_score(x, a, s)
    assert np.sqrt(((found - exact) ** 2).sum(1).mean() / (exact**2).sum(1).mean()) < 0.3


@pytest.mark.parametrize(
    "how",
    [{}, {"jumps": 20, "sampler": "heun"}, {"jumps": 100, "sampler": "ancestral"}, {"sampler": "langevin"}, {"eta": 0.5}],
    ids=str,
)
def test_every_sampler_finds_the_ring(trained, how):
    x = trained.generate(1500, KEY.at("samples"), **how)
    assert energy_distance(x, RING.sample(1500, KEY.at("true"))) < 0.03  # a Gaussian of the same variance has 0.17


def test_the_field_is_drawn(trained):
    pictures = trained.pictures(None, KEY.at("pictures"))
    assert pictures["samples"].shape == (10_000, 2)
    assert pictures["field"].shape[:2] == (1, 5)
    assert pictures["field"].min() >= 0
    assert pictures["field"].max() <= 1


def test_points_have_settings_of_their_own_and_no_classes():
    settings = from_recipe("ddpm", DDPM.recipe, {"data": "moons"})
    assert (settings.steps, settings.options["width"], settings.options["prediction"]) == (POINTS["steps"], 128, "v")
    assert from_recipe("ddpm", DDPM.recipe, {}).options["width"] == 32
    with pytest.raises(ValueError, match=r"the schedule leaves 5e-05 of them, .* use prediction=v, or schedule=linear"):
        DDPM((2,), KEY, schedule="cosine", prediction="noise")
    with pytest.raises(ValueError, match="classes=3: leave it out"):
        DDPM((2,), KEY, classes=3)
