"""The table of a representation: every figure twice, with what is known of it."""

import numpy as np
import pytest

from minigen.metrics.representation import representation_figures
from minigen.random import Key


class Toy:
    sizes = {"a": 4, "b": 6, "c": 3}  # noqa: RUF012

    def draw(self, n, key):
        return np.stack([key.at(name).integers(count, n) for name, count in self.sizes.items()], 1)

    def images(self, values):
        return values.astype(np.float64)


TURN = np.linalg.qr(Key(1).normal((3, 3), np.float64))[0]
FIGURES = {
    f.name: f
    for f in representation_figures(
        lambda x: -x, Toy(), Key(0), untrained=lambda x: (x - x.mean()) @ TURN, rows=1500, votes=150, repeats=20
    )
}
NAMES = ("factor_score", "mig", "disentanglement", "completeness", "informativeness")


def test_every_figure_stands_beside_that_of_the_untrained():
    assert list(FIGURES) == [name + end for end in ("", "_untrained") for name in NAMES]
    for name in NAMES:
        assert FIGURES[name].value > 0.9
        assert FIGURES[name + "_untrained"].value <= FIGURES[name].value
    assert FIGURES["mig_untrained"].value < 0.8
    assert {f.kind for f in FIGURES.values()} == {"estimate"}


def test_a_figure_says_how_it_was_measured():
    assert FIGURES["factor_score"].count == 150
    assert "3 of 3 latents used; chance 1 in 3" in FIGURES["factor_score"].protocol
    assert FIGURES["mig"].count == 1500
    low, high = FIGURES["mig_untrained"].interval
    assert low < FIGURES["mig_untrained"].value + 0.02
    assert high > low
    chance = float(FIGURES["informativeness"].protocol.rpartition(" ")[2])
    assert chance == pytest.approx(np.mean([1 / 4, 1 / 6, 1 / 3]), abs=0.05)
