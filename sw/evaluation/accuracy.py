"""Accuracy: how often the right class is among a model's first answers; one formula for all.

Answers are the classes by falling value; of equal values, the lower class comes first.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kaniwa.errors import InputError

__all__ = ["Accuracy", "rank"]


def rank(values: np.ndarray, label: int) -> int:
    """How many classes come before ``label`` by ``values``, one value a class.

    Raises InputError where there is no such class.
    """
    flat = np.ravel(values)
    if not 0 <= label < flat.size:
        raise InputError(f"label {label}: the model's output has classes 0 to {flat.size - 1}")
    larger = np.count_nonzero(flat > flat[label])
    return int(larger + np.count_nonzero(flat[:label] == flat[label]))


class Accuracy:
    """Count of right answers among the first ``k``, for each ``k`` of ``top``."""

    def __init__(self, top: Sequence[int] = (1,)) -> None:
        if not top or any(k < 1 for k in top):
            raise InputError(f"top must be numbers of at least 1, not {list(top)}")
        self.right = dict.fromkeys(top, 0)
        self.answers: list[int] = []
        self.labels: list[int] = []
        self.classes = 0

    def take(self, values: np.ndarray, label: int) -> None:
        """Count an output, one value a class, with its label."""
        place = rank(values, label)
        for k in self.right:
            self.right[k] += place < k
        self.answers.append(int(np.argmax(values)))
        self.labels.append(int(label))
        self.classes = max(self.classes, int(np.size(values)))

    @property
    def count(self) -> int:
        """How many outputs there were."""
        return len(self.answers)

    @property
    def correct(self) -> int:
        """How many of the first answers are right."""
        return sum(a == label for a, label in zip(self.answers, self.labels, strict=True))

    @property
    def accuracy(self) -> float:
        """The share of right first answers."""
        return self.correct / self.count if self.count else 0.0

    @property
    def confusion(self) -> np.ndarray:
        """Counts by class: a row for each label, a column for each first answer."""
        counts = np.zeros((self.classes, self.classes), np.int64)
        np.add.at(counts, (self.labels, self.answers), 1)
        return counts
