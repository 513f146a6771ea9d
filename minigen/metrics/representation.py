"""All figures of a representation on a source of known factors, an untrained encoder's beside them.

    encode = lambda images: model.encode(images)[0]
    for figure in representation_figures(encode, GlyphFactors(), Key(0), untrained=lambda images: fresh.encode(images)[0]):
        print(figure.name, figure.value)                       # factor_score, factor_score_untrained, mig, ...

A network of random weights already knows where a glyph lies, so its figures are not those of chance. What training adds is the
difference. Intervals are those of the sampled rows and votes: what a recipe is worth is seen over seeds, `figure.over_seeds`.

n rows, L latents, K factors.
"""

from __future__ import annotations

from ..random import Key
from .bootstrap import bootstrap
from .dci import dci
from .factor_score import ROWS, VOTES, factor_score
from .factors import Encode, Source, codes_of
from .figure import Figure, around
from .mig import BINS, mig

IMAGES = 10_000  # of MIG and DCI


def representation_figures(
    encode: Encode,
    source: Source,
    key: Key,
    *,
    untrained: Encode | None = None,
    rows: int = IMAGES,
    votes: int = VOTES,
    repeats: int = 50,
) -> list[Figure]:
    """FactorVAE score, MIG, disentanglement, completeness and informativeness of `encode`, and of `untrained`.

    Both see the same images and votes. Raises ValueError as the measures do.
    """
    figures = _figures(encode, source, key, "", rows, votes, repeats)
    if untrained is not None:
        figures += _figures(untrained, source, key, "_untrained", rows, votes, repeats)
    return figures


def _figures(encode: Encode, source: Source, key: Key, suffix: str, rows: int, votes: int, repeats: int) -> list[Figure]:
    score = factor_score(encode, source, key.at("votes"), votes=votes)
    values = source.draw(rows, key.at("rows"))
    codes = codes_of(encode, source, values)
    gap = bootstrap(lambda i: mig(codes[i], values[i]).mig, rows, key.at("gap"), repeats=repeats)
    found = dci(codes, values, key.at("forest"))
    of_latents = f"{score.used} of {codes.shape[1]} latents used; chance 1 in {values.shape[1]}"
    by_votes = f"{votes} votes of {ROWS} images, judged by as many; {of_latents}"
    by_gap, by_forest = f"{rows:,} images; {BINS} equal steps; basic bootstrap", f"{rows:,} images; a forest of minigen's own"
    told = f"{by_forest}; accuracy on a quarter of them; chance {found.chance:.3f}"
    return [
        Figure(f"factor_score{suffix}", score.score, "share", "estimate", votes, by_votes, around(score.score, score.error)),
        Figure(f"mig{suffix}", gap.value, "share", "estimate", rows, by_gap, gap[1:3]),
        Figure(f"disentanglement{suffix}", found.disentanglement, "share", "estimate", rows, by_forest),
        Figure(f"completeness{suffix}", found.completeness, "share", "estimate", rows, by_forest),
        Figure(f"informativeness{suffix}", found.informativeness, "share", "estimate", rows, told),
    ]
