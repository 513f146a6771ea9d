"""All figures of a set of samples: of the truth, of noise, of few images, of copies."""

import numpy as np
import pytest

from minigen.data import load
from minigen.metrics.sample_figures import sample_figures
from minigen.random import Key


@pytest.fixture(scope="module")
def figures(made, glyphs):
    space = made[1]
    train, test = (data.batch(np.arange(len(data))) for data in glyphs)
    fresh = load("glyphs", "train", size=16, characters="0147", rows=200, seed=9).batch(np.arange(200))
    noise = np.clip(fresh + 0.7 * Key(1).normal(fresh.shape), 0, 1)
    kinds = {"fresh": fresh, "noise": noise, "one": np.repeat(fresh[:20], 10, 0), "copies": train[:200]}
    return {name: {f.name: f for f in sample_figures(space, train, test, x, Key(3), repeats=40)} for name, x in kinds.items()}


def test_every_figure_has_its_count_its_floor_and_its_interval(figures):
    named = figures["fresh"]
    measures = ("frechet", "inception_score", "precision", "recall", "density", "coverage", "nearest_neighbour")
    assert {f"{m}_200{end}" for m in measures for end in ("", "_floor")} <= set(named)
    for name, figure in named.items():
        assert figure.kind == "estimate"
        assert "classifier:glyphs:" in figure.protocol
        if not name.startswith("nearest_neighbour"):
            low, high = figure.interval
            assert low < high or figure.value in (0, 1)
    assert len(named) == 2 * len(measures) + 2


def test_the_truth_scores_its_floor_and_noise_does_not(figures):
    fresh, noise = figures["fresh"], figures["noise"]
    assert fresh["frechet_200"].value == pytest.approx(fresh["frechet_200_floor"].value, rel=1)
    assert noise["frechet_200"].value > 5 * fresh["frechet_200"].value
    assert noise["frechet_200"].interval[0] > fresh["frechet_200"].interval[1]
    assert noise["precision_200"].value < 0.7 * fresh["precision_200"].value
    assert abs(fresh["nearest_neighbour_200"].value - 0.5) < 0.1 < noise["nearest_neighbour_200"].value - 0.5


def test_few_images_and_copies_are_seen(figures):
    one, copies, fresh = (figures[name] for name in ("one", "copies", "fresh"))
    assert one["coverage_200"].value < 0.5 * fresh["coverage_200"].value
    assert one["precision_200"].value > 0.7
    assert copies["closer_than_99_percent_200"].value == 1
    assert fresh["closer_than_99_percent_200"].value < 0.1
    assert copies["nearer_to_train_200"].value > 0.6 > fresh["nearer_to_train_200"].value


def test_figures_are_the_same_again(made, glyphs, figures):
    train, test = (data.batch(np.arange(len(data))) for data in glyphs)
    again = sample_figures(made[1], train, test, train[:200], Key(3), repeats=40)
    assert {f.name: f for f in again} == figures["copies"]
    with pytest.raises(ValueError, match="needs as many training rows, and there are 100"):
        sample_figures(made[1], train[:100], test, train[:200], Key(3))
