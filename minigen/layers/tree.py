"""Nested tuples of arrays: what goes into a layer and what comes out of it.

A tree is an array, None, or a tuple of trees. None stands for "no gradient here": an integer input, an unused output. Inside a
composite's way back it is NOTHING, which can be added to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

Tree: TypeAlias = Any  # Array | None | tuple[Tree, ...]


def map_tree(f: Callable[..., Any], *trees: Tree) -> Tree:
    """f applied to the leaves that stand at the same place of every tree; None where any of them is None."""
    if any(tree is None for tree in trees):
        return None
    if isinstance(trees[0], tuple):
        return tuple(map_tree(f, *parts) for parts in zip(*trees, strict=True))
    return f(*trees)


class Nothing:
    """A gradient that is zero whatever its shape: sums leave it out, multiples and parts of it are nothing again."""

    __array_ufunc__ = None  # array + NOTHING asks NOTHING

    def __add__(self, other: Any) -> Any:
        return other

    __radd__ = __rsub__ = __iadd__ = __add__

    def __sub__(self, other: Any) -> Any:
        return -other

    def __neg__(self) -> Nothing:
        return self

    def __mul__(self, other: Any) -> Nothing:
        return self

    __rmul__ = __truediv__ = __getitem__ = __mul__

    def __repr__(self) -> str:
        return "NOTHING"


NOTHING = Nothing()


def replace(tree: Tree, old: Any, new: Any) -> Tree:
    """The tree with `new` at every place that holds the object `old`."""
    if isinstance(tree, tuple):
        return tuple(replace(part, old, new) for part in tree)
    return new if tree is old else tree


def moving(dy: Tree, dy_dot: Tree) -> Tree:
    """dy_dot, with zeros where it is None and dy is not."""
    if isinstance(dy, tuple):
        return tuple(map(moving, dy, (None,) * len(dy) if dy_dot is None else dy_dot))
    return 0 * dy if dy_dot is None and dy is not None else dy_dot


def leaves(tree: Tree) -> Iterator[Any]:
    """The arrays of a tree, left to right."""
    if isinstance(tree, tuple):
        for part in tree:
            yield from leaves(part)
    elif tree is not None:
        yield tree
