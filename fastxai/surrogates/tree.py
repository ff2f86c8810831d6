"""A decision tree of few leaves, grown best split first (scikit-learn's CART).

Breiman, Friedman, Olshen and Stone 1984, *Classification and Regression Trees*; as a stand-in for
a model: Craven and Shavlik 1995, "Extracting tree-structured representations of trained networks".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .answers import Answers

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class TreeForm:
    """A tree, cut off at some of its nodes.

    Attributes
    ----------
    estimator : DecisionTreeClassifier or DecisionTreeRegressor
    ends : ndarray of bool
        The nodes at which a row's way ends.
    values : ndarray of shape (nodes, K), float64
        Shares of the classes, or mean answers, of the rows at each node.
    """

    estimator: Any
    ends: NDArray[np.bool_]
    values: Numbers

    def scores(self, Z: Numbers) -> Numbers:
        """Shares of the classes (n, K), or values (n, M)."""
        return self.values[self.leaves(Z)]

    def leaves(self, Z: Numbers) -> NDArray[np.intp]:
        """The node at which each row's way ends."""
        tree = self.estimator.tree_
        return np.asarray(self._end_of()[tree.apply(Z.astype(np.float32))], np.intp)

    def _end_of(self) -> NDArray[np.intp]:
        """For each node the first on the way to it that is an end."""
        ends = np.arange(len(self.ends))
        for parent, children in self.splits():
            for child in children:
                stopped = self.ends[ends[parent]]
                ends[child] = ends[parent] if stopped else child
        return ends

    def splits(self) -> list[tuple[int, tuple[int, int]]]:
        """Each node that scikit-learn split, and its children; parents first."""
        tree = self.estimator.tree_
        left, right = tree.children_left, tree.children_right
        return [(k, (int(left[k]), int(right[k]))) for k in range(len(left)) if left[k] >= 0]

    def way(self, row: Numbers) -> list[int]:
        """Nodes that a row (d,) passes, from the root to its end."""
        tree, node = self.estimator.tree_, 0
        passed = [node]
        while not self.ends[node]:
            left = self.goes_left(node, row)
            node = int((tree.children_left if left else tree.children_right)[node])
            passed.append(node)
        return passed

    def goes_left(self, node: int, row: Numbers) -> bool:
        """Whether a row that comes to a node goes to its left, as scikit-learn decides it."""
        tree = self.estimator.tree_
        value = np.float32(row[tree.feature[node]])
        if np.isnan(value):
            return bool(tree.missing_go_to_left[node])
        return bool(value <= tree.threshold[node])

    def reached(self) -> list[int]:
        """Nodes that are part of the cut tree, in the order of a reader: depth first."""
        tree, found, waiting = self.estimator.tree_, [], [0]
        while waiting:
            node = waiting.pop()
            found.append(node)
            if not self.ends[node]:
                waiting += [int(tree.children_right[node]), int(tree.children_left[node])]
        return found

    def depths(self) -> dict[int, int]:
        """How many splits lie before each node of the cut tree."""
        tree, depth = self.estimator.tree_, {0: 0}
        for node in self.reached():
            if not self.ends[node]:
                for child in (tree.children_left[node], tree.children_right[node]):
                    depth[int(child)] = depth[node] + 1
        return depth

    @property
    def size(self) -> dict[str, int]:
        """Leaves and depth."""
        depths = self.depths()
        return {"leaves": int(sum(self.ends[k] for k in depths)), "depth": max(depths.values())}

    @property
    def used(self) -> set[int]:
        """The encoded columns that it asks about."""
        feature = self.estimator.tree_.feature
        return {int(feature[k]) for k in self.reached() if not self.ends[k]}

    @property
    def first(self) -> int | None:
        """The encoded column that it asks about first."""
        return None if self.ends[0] else int(self.estimator.tree_.feature[0])


def fit_tree(
    Z: Numbers,
    answers: Answers,
    seed: int,
    *,
    max_leaves: int,
    max_depth: int,
    min_leaf: int,
    smaller: bool,
) -> list[TreeForm]:
    """Trees of 1, 2, ... leaves at most, each one split more (without ``smaller`` the last alone).

    scikit-learn numbers the nodes of a tree grown best first in the order of the splits, so that
    the first 2k - 1 nodes of the largest tree are the tree of k leaves.
    """
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    options = {"max_leaf_nodes": max(2, max_leaves), "max_depth": max_depth, "random_state": seed}
    options["min_samples_leaf"] = min(min_leaf, max(1, len(Z) // 4))
    if answers.codes is not None:
        estimator = DecisionTreeClassifier(**options).fit(Z, answers.codes)
        values = np.zeros((estimator.tree_.node_count, len(answers.names)))
        shares = estimator.tree_.value[:, 0, :]
        values[:, estimator.classes_] = shares / shares.sum(axis=1, keepdims=True)
    else:
        estimator = DecisionTreeRegressor(**options).fit(Z, answers.values)
        values = estimator.tree_.value[:, :, 0]
    left = estimator.tree_.children_left
    forms = []
    for leaves in range(1 if smaller else max_leaves, max_leaves + 1):
        ends = (left < 0) | (left >= 2 * leaves - 1)
        if answers.codes is not None:
            ends = _merged(estimator.tree_, ends, values.argmax(axis=1))
        forms.append(TreeForm(estimator, ends, values))
    return forms


def _merged(tree: Any, ends: NDArray[np.bool_], classes: NDArray[Any]) -> NDArray[np.bool_]:
    """End before a split both of whose sides answer the same class: it decides nothing."""
    ends = ends.copy()
    for node in range(len(ends) - 1, -1, -1):  # children have higher numbers than parents
        if ends[node]:
            continue
        left, right = tree.children_left[node], tree.children_right[node]
        if ends[left] and ends[right] and classes[left] == classes[right]:
            ends[node] = True
    return ends
