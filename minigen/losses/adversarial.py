"""The losses of a game between a generator and a discriminator, on logits.

A game has three parts, each a mean over the batch with its gradient: what the discriminator pays on real rows, on fake rows,
and what the generator pays on fake rows. With l the logits, s the sigmoid and softplus(l) = log(1 + e^l) = -log(1 - s(l)):

    game            real                 fake                generator
    minimax         softplus(-l)         softplus(l)         -softplus(l)        Goodfellow et al. 2014, eq. 1
    non_saturating  softplus(-l)         softplus(l)         softplus(-l)        the same paper, section 3
    least_squares   (l - 1)^2 / 2        l^2 / 2             (l - 1)^2 / 2       Mao et al. 2017
    hinge           max(0, 1 - l)        max(0, 1 + l)       -l                  Lim and Ye 2017
    wasserstein     -l                   l                   -l                  Arjovsky et al. 2017

Where fakes are told apart with ease, l is very negative: the minimax generator's slope -s(l) / N vanishes there, the
non-saturating one's slope (s(l) - 1) / N does not. That is the whole difference, and lesson 02 measures it.

With one-sided label smoothing the target of a real row is a < 1 in place of 1 (Salimans et al. 2016): softplus(l) - a l.
The functions themselves, with their slopes, are kernels/games; `*_dot` says how the gradient moves along logits_dot, for second
order. N rows; logits of any shape with N elements.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..backend import Array
from ..kernels import games


@dataclass(frozen=True)
class Side:
    """A mean over the rows of f(logit), the function of one of the kinds of kernels/games with its number a."""

    kind: str
    a: float

    def __call__(self, logits: Array, *, scale: float = 1.0) -> tuple[Any, Array]:
        """The mean of f, and dlogits = scale f' / N."""
        if not logits.size:
            raise ValueError("an adversarial loss of an empty batch is not defined")
        return games.loss(self.kind, logits, self.a, scale=scale)

    def dot(self, logits: Array, logits_dot: Array) -> Array:
        """dlogits_dot = f'' logits_dot / N."""
        return self.curve(logits) * logits_dot / logits.size

    def f(self, l: Array) -> Array:
        """What each logit costs."""
        return games.each(self.kind, l, self.a)

    def slope(self, l: Array) -> Array:
        """f' of each logit."""
        return games.slope(self.kind, l, self.a)

    def curve(self, l: Array) -> Any:
        """f'' of each logit; a number where it is the same for all."""
        return games.curve(self.kind, l)


@dataclass(frozen=True)
class Game:
    """What both players minimise."""

    name: str
    real: Side
    fake: Side
    generator: Side


def cross_entropy(target: float) -> Side:
    """softplus(l) - target l: -log of the probability that a label `target` in [0, 1] gets."""
    return Side("cross_entropy", target)


def _squares(target: float) -> Side:
    """(l - target)^2 / 2."""
    return Side("squares", target)


def _linear(sign: float) -> Side:
    """sign l."""
    return Side("linear", sign)


def _hinge(sign: float) -> Side:
    """max(0, 1 + sign l)."""
    return Side("hinge", sign)


_SATURATING = Side("saturating", 0.0)

GAMES: dict[str, Game] = {
    game.name: game
    for game in (
        Game("minimax", cross_entropy(1.0), cross_entropy(0.0), _SATURATING),
        Game("non_saturating", cross_entropy(1.0), cross_entropy(0.0), cross_entropy(1.0)),
        Game("least_squares", _squares(1.0), _squares(0.0), _squares(1.0)),
        Game("hinge", _hinge(-1.0), _hinge(1.0), _linear(-1.0)),
        Game("wasserstein", _linear(-1.0), _linear(1.0), _linear(-1.0)),
    )
}


def game(name: str, smoothing: float = 0.0) -> Game:
    """A game by name; `smoothing` lowers the target of real rows to 1 - smoothing, for the two cross-entropy games.

    Raises ValueError with the names there are, and where a game has no target to smooth.
    """
    if name not in GAMES:
        raise ValueError(f"unknown game {name!r}: there is {', '.join(GAMES)}")
    found = GAMES[name]
    if not smoothing:
        return found
    if name not in ("minimax", "non_saturating"):
        raise ValueError(f"label smoothing needs a cross-entropy game, minimax or non_saturating; {name!r} has no label")
    return Game(name, cross_entropy(1.0 - smoothing), found.fake, found.generator)
