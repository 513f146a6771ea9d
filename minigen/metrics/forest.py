"""A small forest of decision trees (Breiman 2001): which class, told from which columns?

A tree asks at each node whether a column's value is above a step, and chooses the column and the step by how much purer the two
halves are. With n_c of n rows of class c, Gini's impurity of a node, times n, is n - sum_c n_c^2 / n; so a question that sends
l_c rows to the left and r_c to the right gains

    sum_c l_c^2 / l + sum_c r_c^2 / r - sum_c n_c^2 / n

The importance of a column is the sum of the gains of its questions. A tree is grown a level at a time: the counts of all nodes
of a level, at all steps of a column, are one `bincount` and one running sum.

Each tree sees rows drawn with replacement, and the forest averages what its trees say. Values are first cut into steps of about
equal numbers of rows, so only their order matters, to the forest and to what it finds important.

n rows, L columns, C classes, B steps.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..backend import Array
from ..random import Key

BINS, DEPTH, TREES = 32, 8, 10


class Tree(NamedTuple):
    """Nodes, the root first; a leaf's column is -1."""

    column: Array  # (nodes,)
    step: Array  # (nodes,): rows whose step is at most this go left
    left: Array  # (nodes,): the left child; the right one follows it
    share: Array  # (nodes, C) of each class among its rows


class Forest:
    """Made by `grow`."""

    def __init__(self, edges: Array, trees: list[Tree], importance: Array) -> None:
        self.edges, self.trees = edges, trees
        self.importance = importance  # (L,) of sum 1, or 0 where no question was worth asking

    def predict(self, x: Array) -> Array:
        """Rows (n, L) -> the most probable class, (n,) int64."""
        steps = _steps(x, self.edges)
        total = np.zeros((len(x), self.trees[0].share.shape[1]))
        for tree in self.trees:
            node = np.zeros(len(x), np.int64)
            for _ in range(DEPTH + 1):
                column = tree.column[node]
                inner = column >= 0
                right = steps[np.arange(len(x)), column] > tree.step[node]
                node = np.where(inner, tree.left[node] + right, node)
            total += tree.share[node]
        classes: Array = total.argmax(1)
        return classes


def grow(x: Array, y: Array, key: Key, *, trees: int = TREES) -> Forest:
    """A forest that tells classes y (n,), integers from 0, from rows x (n, L)."""
    quantiles = np.quantile(x, np.arange(1, BINS) / BINS, axis=0)  # (B - 1, L)
    steps, C = _steps(x, quantiles), int(y.max()) + 1
    grown, importance = [], np.zeros(x.shape[1])
    for i in range(trees):
        drawn = key.at(i).integers(len(x), len(x))
        tree, gain = _tree(steps[drawn], y[drawn], C)
        grown.append(tree)
        importance += gain
    total = importance.sum()
    return Forest(quantiles, grown, importance / total if total > 0 else importance)


def _steps(x: Array, edges: Array) -> Array:
    """(n, L) -> (n, L) int64: how many edges of its column lie below each number."""
    return np.stack([np.searchsorted(edge, column, side="left") for edge, column in zip(edges.T, x.T, strict=True)], 1)


def _tree(steps: Array, y: Array, C: int) -> tuple[Tree, Array]:
    """One tree on steps (n, L), and the gains by column (L,)."""
    n, L = steps.shape
    gains = np.zeros(L)
    columns, cuts, lefts, shares = [], [], [], []
    node, made = np.zeros(n, np.int64), 1  # the node of each row, within its level; nodes made so far
    for depth in range(DEPTH + 1):
        M = int(node.max(initial=-1)) + 1
        if not M:
            break
        counts = np.bincount(node * C + y, minlength=M * C).reshape(M, C).astype(np.float64)
        column, cut, gain = _questions(steps, y, node, counts, depth < DEPTH)
        splits = column >= 0
        np.add.at(gains, column[splits], gain[splits])
        left = np.cumsum(splits) * 2 - 2  # of the next level, its left child
        columns.append(column)
        cuts.append(cut)
        lefts.append(np.where(splits, made + left, -1))
        shares.append(counts / counts.sum(1, keepdims=True))
        made += 2 * int(splits.sum())
        goes_on = splits[node]
        steps, y, node = steps[goes_on], y[goes_on], node[goes_on]
        node = left[node] + (steps[np.arange(len(node)), column[node]] > cut[node])
    return Tree(*(np.concatenate(parts) for parts in (columns, cuts, lefts, shares))), gains


def _questions(steps: Array, y: Array, node: Array, counts: Array, may_split: bool) -> tuple[Array, Array, Array]:
    """The best question of each of M nodes: its column (M,), -1 for none, its step (M,) and its gain (M,)."""
    M, C = counts.shape
    column, cut, best = np.full(M, -1), np.zeros(M, np.int64), np.full(M, 1e-9)
    if not may_split:
        return column, cut, best
    whole = (counts**2).sum(1) / counts.sum(1)  # (M,)
    for j in range(steps.shape[1]):
        at = np.bincount((node * BINS + steps[:, j]) * C + y, minlength=M * BINS * C).reshape(M, BINS, C)
        l = at.cumsum(1)[:, :-1].astype(np.float64)  # (M, B - 1, C)
        r = counts[:, None] - l
        gain = sum((side**2).sum(2) / np.maximum(side.sum(2), 1) for side in (l, r)) - whole[:, None]  # (M, B - 1)
        k = np.asarray(gain).argmax(1)
        value = np.asarray(gain)[np.arange(M), k]
        better = value > best
        column[better], cut[better], best[better] = j, k[better], value[better]
    return column, cut, best
