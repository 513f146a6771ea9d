"""Copies of the training set, and figures against the number of samples: on sets whose answer is known."""

import numpy as np
import pytest

from minigen.metrics.frechet import frechet_distance
from minigen.metrics.memorisation import memorisation
from minigen.metrics.sample_count import against_count
from minigen.random import Key


def normal(shape, *path):
    return Key(8).at(*path).normal(shape, np.float64)


TRAIN, HELD_OUT = normal((1500, 4, 2), "train"), normal((500, 4, 2), "held out")


def test_fresh_samples_are_not_memorised():
    found = memorisation(normal((2000, 4, 2), "fresh"), TRAIN, HELD_OUT, Key(0))
    assert abs(found.nearer - 0.5) < 4 * found.nearer_error + 0.02
    assert found.closer == pytest.approx(0.01, abs=0.012)
    assert memorisation(HELD_OUT + 5, TRAIN, HELD_OUT, Key(0)).closer == 0


def test_copies_are_found_and_named():
    rows = Key(1).permutation(1500)[:300]
    samples = np.concatenate([normal((100, 4, 2), "other"), TRAIN[rows] + 1e-3 * normal((300, 4, 2), "jitter")])
    found = memorisation(samples, TRAIN, HELD_OUT, Key(0))
    assert (found.rows[100:] == rows).all()
    assert found.closer == pytest.approx(0.75, abs=0.02)
    suspects = found.suspects(300)
    assert set(suspects) == set(range(100, 400))
    assert (np.diff(found.distances[suspects]) >= 0).all()
    whole = memorisation(TRAIN[:1000], TRAIN, HELD_OUT, Key(0))
    assert whole.closer == 1
    assert whole.distances.max() == 0
    assert whole.nearer > 0.6  # a third of the training rows are drawn, and of these copies are found
    assert memorisation(TRAIN[:500], TRAIN[:500], HELD_OUT, Key(0)).nearer == 1


def test_nearer_counts_equal_numbers_and_halves():
    """Ten times as many training rows would be nearer by their number alone."""
    fresh, held_out = normal((1000, 2), "x"), normal((150, 2), "h")
    found = memorisation(fresh, normal((1500, 2), "t"), held_out, Key(0))
    assert abs(found.nearer - 0.5) < 0.08
    assert memorisation(fresh, held_out, held_out[::-1], Key(0)).nearer == 0.5
    again = memorisation(fresh, held_out, held_out[::-1], Key(0))
    assert (again.distances == memorisation(fresh, held_out, held_out, Key(5)).distances).all()


def test_too_few_held_out_rows():
    with pytest.raises(ValueError, match="1 % of 99 held-out rows"):
        memorisation(TRAIN, TRAIN, HELD_OUT[:99], Key(0))


def test_the_bias_of_the_frechet_distance_lies_on_a_line():
    """Shifted by 1/2 the truth is 0.25; the slope is about that of equal Gaussians."""
    D = 4
    x, y = normal((4000, D), "line x"), normal((4000, D), "line y") + np.eye(D)[0] / 2
    found = against_count(frechet_distance, x, y, (50, 100, 200, 400), Key(2), most_sets=20)
    assert [f.sets for f in found.figures] == [20, 20, 20, 10]
    assert found.value == pytest.approx(0.25, abs=0.03)
    assert found.slope == pytest.approx(2 * D + D * (D + 1) / 2, rel=0.35)
    assert found.figures[0].value - 0.25 > 0.25
    assert found.at(200) == pytest.approx(found.figures[2].value, abs=0.06)


def test_an_exact_line_is_found():
    found = against_count(lambda x, y: 3 + 7 / len(x) + 0 * y.sum(), np.ones((90, 1)), np.ones((100, 1)), (10, 30, 90), Key(0))
    assert (found.value, found.slope) == pytest.approx((3, 7))
    assert [f.sets for f in found.figures] == [8, 3, 1]
    with pytest.raises(ValueError, match=r"1 to 90 rows are needed, got \[10, 91\]"):
        against_count(frechet_distance, np.ones((90, 1)), np.ones((100, 1)), (10, 91), Key(0))
