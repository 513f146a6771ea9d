"""A probabilistic context-free grammar of characters with known entropy: what a model of text learns can be held against it.

Every production begins with a character, and those of one symbol begin with different ones (a simple grammar; Korenjak and
Hopcroft 1966). So what has been written says what the stack of open symbols is, and the next character is drawn by the symbol
on top of it:

    E -> x | y | (E O E) | [E O E] | sin(E) ...          stack  E          write (      leaves  E O E )
                                                                           write x      leaves  O E )   ...

Three figures follow, all exact. The probability of a text is the product of its productions' probabilities. Symbol A is used
v_A times in a line, v = start + M' v with M_AB the B's that one A makes, and so the entropy in nats per character is

    sum_A v_A H_A / sum_A v_A c_A          H_A the entropy of A's productions, c_A the characters that stand in them

A line is written anew after each other, from the same start: this is the entropy rate of the endless text (renewal).
To know which bracket has to be closed, a model must look back as far as it was opened.
"""

from __future__ import annotations

import math
from bisect import bisect
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from pathlib import Path

import numpy as np

from ..backend import Array
from ..random import Key
from .registry import Entry, register
from .sequences import Sequences, check_length, smallest


@dataclass(frozen=True)
class Grammar:
    """Symbols are capital letters, all else is a character; `start` is what a line is made from.

    Raises ValueError where probabilities do not sum to 1, two productions of a symbol begin alike, or one with a symbol.
    """

    start: str
    productions: Mapping[str, Mapping[str, float]]  # symbol -> its productions and their probabilities

    def __post_init__(self) -> None:
        for symbol, ways in self.productions.items():
            firsts = {way[0] for way in ways}
            if len(firsts) < len(ways) or firsts & set(self.productions):
                raise ValueError(f"productions of {symbol} must begin with different characters: {', '.join(ways)}")
            if abs(sum(ways.values()) - 1) > 1e-9:
                raise ValueError(f"probabilities of {symbol} sum to {sum(ways.values()):g}, not to 1")

    @cached_property
    def characters(self) -> str:
        """All characters, in order: integer i stands for the i-th."""
        parts = [self.start, *(way for ways in self.productions.values() for way in ways)]
        return "".join(sorted(set("".join(parts)) - set(self.productions)))

    @cached_property
    def entropy(self) -> float:
        """Nats per character, of an endless text."""
        symbols = list(self.productions)
        made = np.array([[sum(p * way.count(B) for way, p in self.productions[A].items()) for B in symbols] for A in symbols])
        start = np.array([self.start.count(A) for A in symbols], float)
        uses = np.linalg.solve(np.eye(len(symbols)) - made.T, start)  # v (A,)
        nats = [-sum(p * math.log(p) for p in self.productions[A].values()) for A in symbols]
        written = [sum(p * self._written(way) for way, p in self.productions[A].items()) for A in symbols]
        return float(uses @ nats / (self._written(self.start) + uses @ written))

    def _written(self, way: str) -> int:
        return sum(c not in self.productions for c in way)

    def sample(self, rows: int, length: int, key: Key) -> Array:
        """(N, T) integers: each row begins with a line, and is cut off after T characters. Row i depends on (key, i) alone."""
        number = {c: i for i, c in enumerate(self.characters)}
        table = {A: (list(ways), list(accumulate(ways.values()))) for A, ways in self.productions.items()}
        drawn = np.empty((rows, length), np.int64)
        for i, us in enumerate(key.uniform((rows, length), np.float64).tolist()):
            stack: list[str] = []
            for t, u in enumerate(us):
                if not stack:
                    stack.extend(reversed(self.start))
                top = stack.pop()
                if top in table:
                    ways, below = table[top]
                    way = ways[min(bisect(below, u), len(ways) - 1)]  # the last sum may be just below 1
                    stack.extend(reversed(way[1:]))
                    top = way[0]
                drawn[i, t] = number[top]
        return drawn

    def log_probability(self, rows: Array) -> Array:
        """(N, T) integers -> (N,): log p of each row in nats, -inf where it cannot be written."""
        first = {A: {way[0]: (way[1:], math.log(p)) for way, p in ways.items()} for A, ways in self.productions.items()}
        return np.array([self._log_probability([self.characters[i] for i in row], first) for row in rows.tolist()])

    def _log_probability(self, text: list[str], first: Mapping[str, Mapping[str, tuple[str, float]]]) -> float:
        total = 0.0
        stack: list[str] = []
        for character in text:
            if not stack:
                stack.extend(reversed(self.start))
            top = stack.pop()
            if top in first:
                if character not in first[top]:
                    return -math.inf
                rest, log_p = first[top][character]
                stack.extend(reversed(rest))
                total += log_p
            elif top != character:
                return -math.inf
        return total


# The built-in one: expressions, one a line. Of an E 0.72 new ones are made, so lines end.
EXPRESSIONS = Grammar(
    "E\n",
    {
        "E": {"x": 0.22, "y": 0.16, "z": 0.1, "2": 0.06, "(EOE)": 0.16, "[EOE]": 0.1, "sin(E)": 0.1, "cos[E]": 0.1},
        "O": {"+": 0.4, "-": 0.3, "*": 0.2, "/": 0.1},
    },
)
ROWS = {"train": 8000, "test": 500}
LENGTH = 128


def load_grammar(split: str, folder: Path | None, rows: int | None = None, length: int = LENGTH, seed: int = 0) -> Sequences:
    """`rows` texts of `length` characters of EXPRESSIONS."""
    check_length("grammar", length)
    N = ROWS[split] if rows is None else rows
    drawn = EXPRESSIONS.sample(N, length, Key(seed).at("grammar", split))
    characters = EXPRESSIONS.characters
    return Sequences(
        "grammar", smallest(drawn, len(characters)), split=split, traits={"characters": characters}, symbols=len(characters)
    )


register(
    Entry(
        name="grammar",
        about=f"expressions in brackets, of a grammar whose entropy is {EXPRESSIONS.entropy:.4f} nats per character",
        shape=(LENGTH,),
        rows=dict(ROWS),
        source="drawn from a probabilistic context-free grammar",
        licence="free",
        built_in=True,
        loader=load_grammar,
    )
)
