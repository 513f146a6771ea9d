"""All figures of a set of samples in a feature space, each with its sample count, its interval and its floor.

    space = ruler("mnist")                                                   # minigen.training.ruler
    for figure in sample_figures(space, train, test, samples, Key(0)):
        print(figure.name, figure.value, figure.interval)                    # frechet_5000 ... frechet_5000_floor ...

The samples are held against test rows. So are as many training rows, which are the truth's own: what they score is the *floor*,
which no generator can be told from the truth beyond. It is not quite nothing even of endlessly many rows: the classifier was
trained on the training rows, and sees them a little more clearly than test rows.

Frechet distances and inception scores of n rows are off by a bias that falls like 1 / n. Figures of one n are compared by
their values; the interval, from which the bias is taken, is that of endlessly many rows, so the value may lie outside.

n samples, N training and M test rows.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..backend import Array
from ..random import Key
from .bootstrap import bootstrap, of_mean
from .features import FeatureSpace
from .figure import Figure, mean_of
from .frechet import frechet_distance
from .inception_score import inception_score
from .manifold import K, manifold
from .memorisation import memorisation
from .two_sample import two_sample

ENDLESS = "the interval is of endlessly many rows: basic bootstrap, its bias taken away"


class Seen(NamedTuple):
    """A set of images as the classifier sees it."""

    features: Array  # (n, F)
    probabilities: Array  # (n, K)


def sample_figures(
    space: FeatureSpace, train: Array, test: Array, samples: Array, key: Key, *, repeats: int = 100
) -> list[Figure]:
    """The figures of `samples` (n, H, W, C), and of the first n of `train` as the floor, against `test`; pixels in [0, 1].

    Raises ValueError where there are fewer training rows than samples, or not more samples or test rows than features.
    """
    n = len(samples)
    if len(train) < n:
        raise ValueError(f"the floor of {n} samples needs as many training rows, and there are {len(train)}")
    reference, drawn, truth = (Seen(space.features(x), space.probabilities(x)) for x in (test, samples, train[:n]))
    figures = []
    for suffix, rows in (("", drawn), ("_floor", truth)):
        figures += against(reference, rows, f"{n}{suffix}", f"against {len(test):,} test rows in {space.name}", key, repeats)
    found = memorisation(drawn.features, space.features(train), reference.features, key.at("memorisation"))
    about = f"nearest of {len(train):,} training rows in {space.name}"
    closer = found.distances < found.threshold
    figures.append(mean_of(f"closer_than_99_percent_{n}", closer, "share", "estimate", f"{about}; 0.01 is the truth's"))
    half = (found.nearer - 1.96 * found.nearer_error, found.nearer + 1.96 * found.nearer_error)
    both = f"{about} or of as many test rows; 0.5 is the truth's"
    figures.append(Figure(f"nearer_to_train_{n}", found.nearer, "share", "estimate", n, both, half))
    return figures


def against(reference: Seen, rows: Seen, suffix: str, about: str, key: Key, repeats: int = 100) -> list[Figure]:
    """The figures of `rows` against `reference`, their names ending in `suffix`."""
    x, y, n, m = reference.features, rows.features, len(rows.features), len(reference.features)
    far = bootstrap(lambda a, b: frechet_distance(x[a], y[b]), (m, n), key.at("frechet"), repeats=repeats)
    score = bootstrap(lambda b: inception_score(rows.probabilities[b]), n, key.at("inception"), repeats=repeats)
    figures = [
        Figure(f"frechet_{suffix}", far.value, "squared features", "estimate", n, f"{about}; {ENDLESS}", far[1:3]),
        Figure(f"inception_score_{suffix}", score.value, "classes", "estimate", n, f"{about}; {ENDLESS}", score[1:3]),
    ]
    balls = manifold(x, y)
    parts = {"precision": balls.precise, "recall": balls.recalled, "density": balls.density, "coverage": balls.covered}
    for name, values in parts.items():
        interval = of_mean(values, key.at(name), repeats=repeats)
        protocol = f"{about}; balls to neighbour {K}; bootstrap of the rows it is averaged over"
        figures.append(Figure(f"{name}_{suffix}", interval.value, "share", "estimate", len(values), protocol, interval[1:3]))
    few = min(n, m)
    order = key.at("order").permutation(m)[:few], key.at("order of rows").permutation(n)[:few]
    told = two_sample(x[np.sort(order[0])], y[np.sort(order[1])], key.at("deals"))
    protocol = f"{about}; {few:,} of each; p = {told.p_value:.3g}; real {told.real:.3f}, samples {told.fake:.3f}"
    figures.append(Figure(f"nearest_neighbour_{suffix}", told.accuracy, "share", "estimate", 2 * few, protocol))
    return figures
