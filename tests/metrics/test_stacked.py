"""A thousand modes: by hand, of the truth, of half of the digits; stacked images and what their channels are."""

import math

import numpy as np
import pytest

from minigen.data import load
from minigen.data.stacked import stacked
from minigen.metrics.health import Health, Modes, health, verdict
from minigen.metrics.stacked import SAMPLES, of_channels, stacked_coverage
from minigen.random import Key

KEY = Key(6)


def one_hot(classes, sure=1.0):
    """(n, 3) classes -> (n, 3, 10) probabilities."""
    return np.eye(10)[classes] * sure + (1 - sure) / 10


def test_the_truth_scores_the_floor():
    found = [stacked_coverage(one_hot(KEY.at(i).integers(10, (SAMPLES, 3)))) for i in range(5)]
    assert all((f.samples, f.modes, f.of, f.sure) == (26_000, 1000, 1000, 1) for f in found)
    assert np.mean([f.reverse_kl for f in found]) == pytest.approx(found[0].kl_floor, rel=0.08)
    assert found[0].kl_floor == pytest.approx(0.0192, abs=1e-4)


def test_fewer_digits_are_fewer_modes():
    classes = KEY.integers(5, (20_000, 3)) * 2
    found = stacked_coverage(one_hot(classes, 0.85))
    assert (found.modes, found.sure) == (125, 0)
    assert found.reverse_kl == pytest.approx(math.log(8), abs=0.01)
    alone = stacked_coverage(one_hot(np.full((9, 3), 7)))
    assert (alone.modes, alone.reverse_kl) == (1, pytest.approx(math.log(1000)))
    by_hand = stacked_coverage(one_hot(np.array([[1, 2, 3], [1, 2, 3], [3, 2, 1], [0, 0, 0]])))
    assert by_hand.modes == 3
    assert by_hand.reverse_kl == pytest.approx(0.5 * math.log(500) + 0.5 * math.log(250))


def test_channels_are_looked_at_one_by_one():
    images = KEY.at("x").uniform((7, 4, 4, 3))
    mean = lambda grey: grey.mean((1, 2))  # (N, 1)
    np.testing.assert_array_equal(
        of_channels(mean, images)[..., 0], np.stack([images[..., c].mean((1, 2)) for c in range(3)], 1)
    )
    with pytest.raises(ValueError, match=r"\(n, H, W, 3\), got \(2, 4, 4, 1\)"):
        of_channels(mean, np.zeros((2, 4, 4, 1)))
    with pytest.raises(ValueError, match=r"got \(5, 10\)"):
        stacked_coverage(np.ones((5, 10)))


def test_stacked_images_are_three_images():
    images = (np.arange(10, dtype=np.uint8) * 20)[:, None, None, None] * np.ones((10, 4, 4, 1), np.uint8)
    made, labels = stacked(images, np.arange(10), 500, Key(2))
    np.testing.assert_array_equal(made[:, 1, 2] // 20 @ np.array([100, 10, 1]), labels)
    assert made.shape == (500, 4, 4, 3)
    assert len(np.unique(labels)) > 350
    data = load("stacked_glyphs", "test", rows=30)
    assert data.classes[int(data.labels[4])] == f"{int(data.labels[4]):03}"
    assert (load("stacked_glyphs", "test", rows=30).images == data.images).all()


# ---- what the verdict makes of modes


N = 120
GUESSES = Key(2).normal((N, 1), np.float64), Key(3).normal((N, 1), np.float64)


def judged(modes):
    x, y = (Key(i).normal((N, 2), np.float64) for i in (0, 1))
    return verdict(health(x, y, *GUESSES, modes=modes), {})


def test_a_collapse_onto_known_modes_is_seen_though_samples_look_alright():
    assert judged(None).word == "balanced"
    assert judged(Modes(8, 8, 0.01, 0.95)).word == "balanced"
    few = judged(Modes(8, 8, math.log(8 / 3), 0.95))
    assert few.word == "collapse suspected"
    assert "samples lie as on 3.0 equal modes of 8" in few.why
    assert "8 of 8 modes, 95% of the samples on one, reverse KL 0.98" in few.why


def test_a_cloud_between_the_modes_is_not_balanced():
    found = judged(Modes(2, 8, 0.02, 0.01))
    assert found.word == "not there yet"
    assert "only 1% of the samples are on a mode" in found.why


def test_saturation_is_still_said():
    found = verdict(Health(1.0, 1.0, 1.0, 1.0, modes=Modes(8, 8, 0.0, 0.9)), {})
    assert found.word == "discriminator saturated"
    assert "8 of 8 modes" in found.why
