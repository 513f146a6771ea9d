"""The verdict on a game, on cases made to be healthy or ill."""

import numpy as np
import pytest

from minigen.data.densities import density
from minigen.metrics.health import Health, health, trends, verdict
from minigen.random import Key

N = 256
RING = density("ring8")
REAL = RING.sample(N, Key(0))
LIKE_REAL = RING.sample(N, Key(1))
GUESSES = Key(2).normal((N, 1), np.float64), Key(3).normal((N, 1), np.float64)
STEADY = {"real": [0.6] * 9, "fake": [0.7] * 9, "generator": [0.8] * 9}


def judged(fake, real_logits=GUESSES[0], fake_logits=GUESSES[1]):
    return verdict(health(REAL, fake, real_logits, fake_logits), STEADY).word


def on_modes(*modes):
    """Samples on some of the modes alone."""
    m = np.resize(modes, N)
    return RING.modes.means[m] + RING.modes.sigma * Key(4).normal((N, 2), np.float64)


def test_the_truth_against_itself_is_balanced():
    found = health(REAL, LIKE_REAL, *GUESSES)
    assert found.told_apart == pytest.approx(0.5, abs=0.08)
    assert found.diversity == pytest.approx(1, abs=0.05)
    assert found.precision > 0.95
    assert found.coverage > 0.95
    assert judged(LIKE_REAL) == "balanced"


@pytest.mark.parametrize("modes", [(0,), (2, 3), (0, 4), (0, 2, 5)])
def test_a_few_modes_are_a_collapse(modes):
    """(0, 4) are opposite: samples differ more than the data do, and coverage alone sees it."""
    assert judged(on_modes(*modes)) == "collapse suspected"


def test_one_image_for_all_latents_is_a_collapse():
    images = Key(5).uniform((60, 7, 7, 1), np.float64)
    found = health(images, np.repeat(images[:1], 60, 0), GUESSES[0][:60], GUESSES[1][:60])
    assert found.diversity < 1e-6
    assert verdict(found, {}).word == "collapse suspected"


def test_a_discriminator_that_is_never_wrong_is_saturated():
    far = LIKE_REAL * 3
    assert judged(far, np.full((N, 1), 9.0), np.full((N, 1), -9.0)) == "discriminator saturated"


def test_a_discriminator_that_guesses_at_bad_samples_is_too_weak():
    assert judged(LIKE_REAL * 3) == "discriminator too weak"


def test_bad_samples_that_are_told_apart_are_no_balance():
    """D is right most of the time, but not always: there is something to learn for both."""
    assert judged(LIKE_REAL * 3, GUESSES[0] + 1, GUESSES[1]) == "not there yet"


def test_equal_logits_are_guesses():
    assert health(REAL, LIKE_REAL, np.zeros((N, 1)), np.zeros((N, 1))).told_apart == 0.5


def test_what_is_not_finite_is_no_balance():
    assert verdict(Health(0.5, float("nan"), 1.0, 1.0), {}).word == "collapse suspected"


def test_the_evidence_is_in_plain_words():
    text = str(verdict(Health(1.0, 0.9, 0.2, 0.1), {"generator": [1.0, 1.1, 2.0, 3.0, 4.9, 5.1]}))
    assert text.startswith("discriminator saturated: the discriminator ranks a real row above a sample 100% of the time")
    assert text.endswith("losses generator 5, rising from 1.05")


def test_trends_are_not_seen_in_noise():
    assert trends({"a": [1.0, 1.4, 1.0, 1.2, 0.9, 1.5]}) == "a 1.2"
    assert trends({"a": [2.0, 2.0, 1.5, 1.5, 1.0, 1.0], "b": [3.0]}) == "a 1, falling from 2; b 3"
    assert trends({}) == "none yet"


def test_too_few_rows_are_refused():
    with pytest.raises(ValueError, match="three rows"):
        health(REAL[:2], LIKE_REAL, *GUESSES)
