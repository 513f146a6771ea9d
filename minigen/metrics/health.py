"""Is a game between a generator and a discriminator healthy? A verdict in plain words, with its evidence.

The losses alone do not say: at the equilibrium they are constants, and a collapsed generator can have them too. Four figures of
a batch of real rows and one of samples do:

    told_apart   P(a real row's logit is above a sample's), 1/2 for a D that guesses, 1 for one that is never wrong
    diversity    the mean distance between two samples over that between two real rows, 1 where they vary alike
    precision    the share of samples that have some real row near
    coverage     the share of real rows that have a sample near (Naeem et al. 2020)

A critic of a Wasserstein GAN does not guess, it measures: its output is a height of any size. Of it there is one figure more,

    distance     the mean height of real rows minus that of samples, in proportion to the Wasserstein distance

and being right about every row is no fault of it: its slope is bounded, and teaches as much there as anywhere.

Where it is known which modes the data have (Gaussians in the plane, `modes.py`; stacked digits, `stacked.py`), they are counted
on many samples, and collapse needs no guess. As many modes as

    effective    M exp(-reverse KL) = exp(the entropy of the samples' shares of the M modes)

are drawn in equal parts; at less than half of M it is a collapse. And what no mode is near to is no sample yet.

"Near" is within the distance of a real row to its k-th nearest real row, k a sixteenth of the rows: coarse enough not to ask
for sharp samples, fine enough to notice that a region of the data has none.

n real rows, m samples, D numbers in a row.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from ..backend import Array, to_device

COLLAPSE = 0.5  # of diversity, of coverage while precision is above it, and of the modes
SHARP = 0.5  # the least part of the samples that has to be of high quality
SATURATED = 0.98  # of told_apart
GUESSING = 0.55


class Modes(NamedTuple):
    """The modes of the data that samples were found on."""

    found: int
    of: int  # M
    reverse_kl: float  # nats
    quality: float  # the share of samples that are clearly on a mode

    @property
    def effective(self) -> float:
        """How many modes have equal parts."""
        return self.of * math.exp(-self.reverse_kl)

    def __str__(self) -> str:
        return f"{self.found} of {self.of} modes, {self.quality:.0%} of the samples on one, reverse KL {self.reverse_kl:.2f}"


class Health(NamedTuple):
    """What `health` measured."""

    told_apart: float
    diversity: float
    precision: float
    coverage: float
    distance: float | None = None  # of a critic alone
    modes: Modes | None = None  # where the data have known ones


class Verdict(NamedTuple):
    """What is to be said of a game."""

    word: str  # "balanced", "not there yet", "collapse suspected", "discriminator saturated" or "too weak", "critic too weak"
    why: str  # the evidence

    def __str__(self) -> str:
        return f"{self.word}: {self.why}"


def health(
    real: Array,
    fake: Array,
    real_logits: Array,
    fake_logits: Array,
    *,
    critic: bool = False,
    modes: Modes | None = None,
) -> Health:
    """The figures of real rows (n, ...) and samples (m, ...), and of their logits, or a `critic`'s heights, (n, 1) and (m, 1).

    `modes` were counted elsewhere, and are passed on.

    Raises ValueError on fewer than three rows of either.
    """
    if min(len(real), len(fake)) < 3:
        raise ValueError(f"health needs at least three rows of each kind, not {len(real)} real ones and {len(fake)} samples")
    x, y = (to_device(rows, "cpu").reshape(len(rows), -1).astype(np.float64) for rows in (real, fake))
    within, across, among = distances(x, x), distances(x, y), distances(y, y)  # (n, n), (n, m), (m, m)
    k = max(1, len(x) // 16)
    reach = np.sort(within, 1)[:, k]  # (n,): column 0 is the row itself
    near = across <= reach[:, None]  # (n, m)
    a, b = (to_device(logits, "cpu").reshape(-1) for logits in (real_logits, fake_logits))
    above = (a[:, None] > b).mean() + 0.5 * (a[:, None] == b).mean()
    spread = [pairs.sum() / (len(pairs) * (len(pairs) - 1)) for pairs in (among, within)]
    diversity = spread[0] / spread[1] if spread[1] else float("nan")
    distance = float(a.mean() - b.mean()) if critic else None
    return Health(float(above), float(diversity), float(near.any(0).mean()), float(near.any(1).mean()), distance, modes)


def distances(x: Array, y: Array) -> Array:
    """|x_i - y_j|: (n, D), (m, D) -> (n, m)."""
    squares = (x**2).sum(1)[:, None] + (y**2).sum(1) - 2 * x @ y.T
    apart: Array = np.sqrt(np.maximum(squares, 0))
    return apart


def verdict(found: Health, losses: Mapping[str, Sequence[float]]) -> Verdict:
    """What the figures and the latest losses of both players, oldest first, say about the game."""
    judge = "discriminator" if found.distance is None else "critic"
    told = f"the {judge} ranks a real row above a sample {found.told_apart:.0%} of the time (50% is guessing)"
    seen = f"losses {trends(losses)}"
    if found.distance is not None:
        apart = f"the critic puts real rows {found.distance:.3g} above samples"
        told = f"{apart} (one of each is in this order {found.told_apart:.0%} of the time)"
        seen = f"on the way {trends(of_critic(losses))}"
    modes = found.modes
    if modes is not None:
        seen = f"{modes}; {seen}"
    if not found.diversity >= COLLAPSE:  # so that NaN is none
        return Verdict("collapse suspected", f"samples differ {found.diversity:.0%} as much as the data; {told}; {seen}")
    if found.coverage < COLLAPSE < found.precision:
        missed = (
            f"{found.precision:.0%} of the samples lie among the data, but only {found.coverage:.0%} of the data have one near"
        )
        return Verdict("collapse suspected", f"{missed}; {told}; {seen}")
    if modes is not None and modes.effective < COLLAPSE * modes.of:
        return Verdict(
            "collapse suspected", f"samples lie as on {modes.effective:.1f} equal modes of {modes.of}; {told}; {seen}"
        )
    if found.distance is None and found.told_apart >= SATURATED:
        return Verdict("discriminator saturated", f"{told}, so its gradient teaches little; {seen}")
    if found.coverage < COLLAPSE:
        missed = f"{1 - found.coverage:.0%} of the data have no sample near"
        if found.told_apart <= GUESSING:
            return Verdict(f"{judge} too weak", f"{told}, though {missed}; {seen}")
        return Verdict("not there yet", f"{missed}, and the {judge} knows: {told}; {seen}")
    if modes is not None and modes.quality < SHARP:
        return Verdict("not there yet", f"only {modes.quality:.0%} of the samples are on a mode; {told}; {seen}")
    return Verdict("balanced", f"{told}; {found.coverage:.0%} of the data have a sample near; {seen}")


def of_critic(losses: Mapping[str, Sequence[float]]) -> dict[str, Sequence[float]]:
    """The distance in place of the heights it is a difference of, which drift together and mean nothing by themselves."""
    if not {"real", "fake"} <= losses.keys():
        return dict(losses)
    rest = {name: values for name, values in losses.items() if name not in ("real", "fake", "generator")}
    return {"distance": [-real - fake for real, fake in zip(losses["real"], losses["fake"], strict=True)], **rest}


def trends(losses: Mapping[str, Sequence[float]]) -> str:
    """ "real 0.61, fake 0.55, generator 0.92, rising from 0.71": the mean of the latest third, and how it changed if it did.

    A change counts where it is above a tenth of the value and twice the scatter within the thirds.
    """
    parts = []
    for name, values in losses.items():
        third = max(1, len(values) // 3)
        first, last = np.asarray(values[:third], float), np.asarray(values[-third:], float)
        was, now = first.mean(), last.mean()
        scatter = max(first.std(), last.std())
        changed = len(values) > 1 and abs(now - was) > max(0.1 * abs(was), 2 * scatter)
        parts.append(f"{name} {now:.3g}" + (f", {'rising' if now > was else 'falling'} from {was:.3g}" if changed else ""))
    return "; ".join(parts) or "none yet"
