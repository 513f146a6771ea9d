"""How the models are judged: each measure takes a trained model and returns figures, the one to be compared first.

A quick budget judges on fewer rows, drawn from all of the test split: some splits are sorted by class.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..backend import Array, to_device
from ..data import Dataset, GlyphFactors
from ..data.densities import density
from ..metrics.energy_distance import energy_distance, floor
from ..metrics.factors import Encode
from ..metrics.figure import Figure, around, mean_of
from ..metrics.importance import importance_bound
from ..metrics.modes import PERFECT, SAMPLES, mode_coverage
from ..metrics.representation import representation_figures
from ..metrics.sample_figures import sample_figures
from ..metrics.stacked import SAMPLES as STACKED
from ..metrics.stacked import of_channels, stacked_coverage
from ..training.catalogue import samples
from ..training.evaluation import batch_of, evaluate
from .reproduction import Judged, Measure

POINTS = 100_000  # of a density in the plane
DRAWN = 10_000  # samples of a generator
FEW = 1000  # rows of a quick budget


def rows_of(data: Dataset, budget: str, most: int | None = None) -> Array:
    """The indices a budget judges: all of them, or `FEW` evenly from all."""
    n = len(data) if most is None else min(most, len(data))
    n = min(n, FEW) if budget == "quick" else n
    return np.linspace(0, len(data) - 1, n).round().astype(np.int64)


def held_out(name: str, label: str, unit: str, kind: str, *, factor: float = 1.0, most: int | None = None) -> Measure:
    """`factor` times the figure `name` of the model's own `evaluate`, over the test split."""

    def measure(of: Judged) -> list[Figure]:
        rows = rows_of(of.test, of.budget, most)
        found = evaluate(of.model, of.test, rows, of.key)
        value, error = factor * found.values[name], found.errors[name]
        interval = around(value, None if error is None else abs(factor) * error)
        return [Figure(label, value, unit, kind, len(rows), f"{len(rows):,} rows of the test split", interval)]

    return measure


def importance(of: Judged) -> list[Figure]:
    """-log p(x) by the importance-weighted bound: 5,000 samples for each of 10,000 images, quick 500 for 1,000."""
    rows, count = rows_of(of.test, of.budget), 500 if of.budget == "quick" else 5000
    row = lambda i: of.model.batch_of(batch_of(of.test, rows[i : i + 1], "cpu"))
    found = importance_bound(of.model, row, len(rows), count, of.key)
    protocol = f"{of.test.name}, {len(rows):,} test images, {count:,} samples of z each"
    kind = "bound"
    nats = mean_of("-log p(x), importance-weighted", -found.bound, "nats per image", kind, protocol)
    share = mean_of("effective samples of z", found.effective, f"of {count:,}", "estimate", protocol)
    return [nats, share]


def excess(of: Judged) -> list[Figure]:
    """-log p over test points drawn from the truth, less the truth's entropy: 0 is a perfect model."""
    truth = density(of.test.name)
    n = POINTS // 10 if of.budget == "quick" else POINTS
    x = truth.sample(n, of.key.at("points")).astype(of.model.dtype)
    log_p = np.concatenate([to_device(of.model.log_prob(part), "cpu") for part in np.array_split(x, -(-n // 4000))])
    protocol = f"{n:,} points of {truth.name}, whose entropy is {truth.entropy:.4f} nats"
    figure = mean_of("nats above the entropy", -log_p.astype(np.float64) - truth.entropy, "nats per point", "exact", protocol)
    return [figure]


def coverage(of: Judged) -> list[Figure]:
    """Modes, quality and spread of 2,500 samples on a mixture of Gaussians."""
    modes = density(of.test.name).modes
    assert modes is not None, f"{of.test.name} has no modes to count"
    found = mode_coverage(samples(of.model, SAMPLES, of.key.at("samples")), *modes)
    protocol = f"{SAMPLES:,} samples; of high quality within 3 sigma of the nearest mean"
    figures = [
        Figure("modes", found.modes, f"of {found.of}", "estimate", SAMPLES, protocol),
        percentage("high quality", found.quality, SAMPLES, f"{protocol}; of the truth {100 * PERFECT:.2f} %"),
        Figure("reverse KL", found.reverse_kl, "nats", "estimate", SAMPLES, protocol),
        Figure("sigma ratio", found.sigma_ratio, "of the truth's spread", "estimate", SAMPLES, protocol),
    ]
    return [figure for figure in figures if math.isfinite(figure.value)]  # without good samples there is no spread


def percentage(name: str, share: float, n: int, protocol: str) -> Figure:
    """A share of n samples in percent, with the interval of its binomial error."""
    error = 100 * math.sqrt(share * (1 - share) / n)
    return Figure(name, 100 * share, "%", "estimate", n, protocol, around(100 * share, error))


def energy(of: Judged) -> list[Figure]:
    """The unbiased energy distance of samples from the truth, and the truth's from itself."""
    truth, n = density(of.test.name), FEW if of.budget == "quick" else DRAWN
    x = truth.sample(n, of.key.at("truth"))
    value = energy_distance(samples(of.model, n, of.key.at("samples")), x)
    base = floor(truth.sample, n, of.key.at("floor"))
    protocol = f"unbiased and not rooted, {n:,} samples against {n:,}; truth against truth {base.mean:.1e} +- {base.spread:.1e}"
    return [Figure("energy distance", value, "length", "estimate", n, protocol, around(value, base.spread))]


def exact_partition(of: Judged) -> list[Figure]:
    """-log p of a small RBM, its partition function summed state by state."""
    from ..models.partition import exact_log_z

    x = of.test.batch(np.arange(len(of.test))).reshape(len(of.test), -1)  # (N, visible)
    nats = of.model.energy.forward(x)[0].astype(np.float64) + exact_log_z(of.model.energy)
    protocol = f"{of.test.name}, {len(x):,} test images, partition function by enumeration"
    return [mean_of("-log p(x)", nats, "nats per image", "exact", protocol)]


def exact_likelihood(of: Judged) -> list[Figure]:
    """-log p of an autoregressive model, pixel by pixel."""
    rows = rows_of(of.test, of.budget)
    nats = -of.model.log_likelihood(of.test.batch(rows))
    protocol = f"{of.test.name}, {len(rows):,} test images"
    return [mean_of("-log p(x)", nats, "nats per image", "exact", protocol)]


def drawn(of: Judged) -> Array:
    """Images of a generator, (n, H, W, C)."""
    return samples(of.model, FEW if of.budget == "quick" else DRAWN, of.key.at("samples"))


FIRST = "frechet", "frechet_floor", "precision", "coverage", "nearest_neighbour", "closer_than_99_percent"


def images_of(of: Judged) -> list[Figure]:
    """The figures of samples in a classifier's features, each with its number of samples and its floor; the rarest class.

    The Frechet distance is biased upwards, the more the fewer samples: figures of different counts are different figures.
    """
    images, space = drawn(of), of.ruler()
    n = len(images)
    train, test = of.train.batch(rows_of(of.train, of.budget, n)), of.test.batch(rows_of(of.test, of.budget, n))
    found = sample_figures(space, train, test, images, of.key.at("figures"))
    kind = {figure.name.replace(f"_{n}", ""): figure for figure in found}
    shares = np.bincount(space.classes(images), minlength=len(of.test.classes or ()) or 10) / n
    rarest = percentage("share of the rarest class", float(shares.min()), n, f"{n:,} samples, judged by {space.name}")
    return [*(kind.pop(name) for name in FIRST), rarest, *kind.values()]


def stacked(of: Judged) -> list[Figure]:
    """The modes of stacked digits, of 1,000, in 26,000 samples as the classifier of the single digits sees them."""
    n = FEW if of.budget == "quick" else STACKED
    judge = of.ruler()
    parts = [FEW // 4] * (n // (FEW // 4))
    drawn = (to_device(of.model.sample(part, of.key.at("samples", i)), "cpu") for i, part in enumerate(parts))
    found = stacked_coverage(np.concatenate([of_channels(judge.probabilities, images) for images in drawn]))
    protocol = f"{found.samples:,} samples, judged by {judge.name}, right in {100 * judge.accuracy:.2f} % of its test images"
    floor_of = f"{protocol}; as many samples of the truth have about {found.kl_floor:.3f}"
    return [
        Figure("modes", found.modes, f"of {found.of:,}", "estimate", found.samples, protocol),
        Figure("reverse KL", found.reverse_kl, "nats", "estimate", found.samples, floor_of),
        percentage("three digits beyond doubt", found.sure, found.samples, protocol),
    ]


def disentangled(of: Judged) -> list[Figure]:
    """FactorVAE score, MIG and DCI on glyphs of known factors, and those of the same encoder before training."""
    votes, rows = (200, FEW) if of.budget == "quick" else (800, DRAWN)
    untrained = mean_code(of.untrained())
    key = of.key.at("figures")
    return representation_figures(mean_code(of.model), GlyphFactors(), key, untrained=untrained, rows=rows, votes=votes)


def mean_code(model: Any) -> Encode:
    """Images -> the mean of q(z|x)."""
    return lambda x: to_device(model.encode(x)[0], "cpu")


def agreement(of: Judged) -> list[Figure]:
    """How many samples of a conditional model are what was asked for, to a classifier."""
    n = FEW if of.budget == "quick" else DRAWN
    asked = np.arange(n) % of.model.classes
    parts = np.split(asked, range(FEW // 4, n, FEW // 4))
    images = [of.model.sample_class(part, of.key.at("samples", i)) for i, part in enumerate(parts)]
    judge = of.ruler()
    found = judge.classes(np.concatenate([to_device(part, "cpu") for part in images]))
    protocol = f"{n:,} samples, judged by {judge.name}"
    return [mean_of("samples of the class asked for", 100.0 * (found == asked), "%", "estimate", protocol)]


def accuracy(of: Judged) -> list[Figure]:
    """Of a classifier, on the test split."""
    x = of.test.batch(np.arange(len(of.test)))
    right = 100.0 * (of.model.predict(x) == of.test.labels)
    return [mean_of("test accuracy", right, "%", "exact", f"{of.test.name}, {len(x):,} test images")]


def above_the_grammar(of: Judged) -> list[Figure]:
    """-log p of texts less that under the grammar that wrote them, row by row: an estimate of their divergence."""
    from ..data.grammar import EXPRESSIONS
    from ..models.wavenet import Rows

    texts = of.test.images.astype(np.int64)  # (N, T)
    T = texts.shape[1]
    ours = [of.model.log_probability(Rows(part, None)) for part in np.array_split(texts, -(-len(texts) // 100))]
    above = (EXPRESSIONS.log_probability(texts) - np.concatenate(ours)) / T
    protocol = f"{len(texts):,} test texts, less the grammar's own -log p of each"
    return [mean_of("nats above the grammar's own", above, "nats per character", "exact", protocol)]
