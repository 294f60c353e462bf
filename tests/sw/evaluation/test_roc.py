"""AUC against an example by hand, and against the definition that scikit-learn gives it."""

import itertools

import numpy as np
import pytest

from kaniwa.errors import InputError
from kaniwa.evaluation.roc import area_under_roc


def trapezoids(scores, labels):
    """The area below the ROC curve, a point for each different score, as roc_auc_score has it."""
    points = [(0.0, 0.0)]
    for threshold in sorted(set(scores), reverse=True):
        said = scores >= threshold
        points.append((float(np.mean(said[labels == 0])), float(np.mean(said[labels == 1]))))
    return sum((right - left) * (low + high) / 2
               for (left, low), (right, high) in itertools.pairwise(points))


def test_an_example_by_hand():
    """Normal: 1, 2, 4. Anomaly: 3, 4, 5. Of 9 pairs 7 are in order, (4, 4) counts half:
    3 is above 1 and 2, 4 above 1 and 2, 5 above all."""
    scores, labels = np.array([1.0, 2, 4, 3, 4, 5]), np.array([0, 0, 0, 1, 1, 1])
    assert area_under_roc(scores, labels) == pytest.approx(7.5 / 9)
    assert trapezoids(scores, labels) == pytest.approx(7.5 / 9)


def test_limits():
    labels = np.array([0, 0, 1, 1])
    assert area_under_roc(np.array([1.0, 2, 3, 4]), labels) == 1.0
    assert area_under_roc(np.array([4.0, 3, 2, 1]), labels) == 0.0
    assert area_under_roc(np.zeros(4), labels) == 0.5


@pytest.mark.parametrize("seed", range(8))
def test_random_scores_with_ties(seed):
    generator = np.random.default_rng(seed)
    scores = generator.integers(0, 6, 40).astype(float)
    labels = np.r_[0, 1, generator.integers(0, 2, 38)]
    assert area_under_roc(scores, labels) == pytest.approx(trapezoids(scores, labels))


@pytest.mark.parametrize(("scores", "labels", "message"), [
    ([1.0, 2], [1, 1], "both labels"), ([1.0, 2], [0, 2], "labels 0"), ([1.0], [0, 1], "as many"),
    ([1.0, np.nan], [0, 1], "finite")])
def test_what_has_no_area_is_an_error(scores, labels, message):
    with pytest.raises(InputError, match=message):
        area_under_roc(np.array(scores), np.array(labels))
