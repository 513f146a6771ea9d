"""Nested tuples of arrays: what goes into a layer and what comes out of it.

A tree is an array, None, or a tuple of trees. None stands for "no gradient here": an integer input, an unused output.
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


def leaves(tree: Tree) -> Iterator[Any]:
    """The arrays of a tree, left to right."""
    if isinstance(tree, tuple):
        for part in tree:
            yield from leaves(part)
    elif tree is not None:
        yield tree
