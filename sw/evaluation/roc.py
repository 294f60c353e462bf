"""Area under the ROC curve (AUC) of scores with binary labels."""

from __future__ import annotations

import numpy as np

from kaniwa.errors import InputError

__all__ = ["area_under_roc"]


def area_under_roc(scores: np.ndarray, labels: np.ndarray) -> float:
    """Area under the curve of true against false positive rate; ``scores`` and ``labels``: [n].

    Label 1 is positive, 0 negative, and a higher score says positive. The value is that of
    scikit-learn's ``roc_auc_score``: the trapezoids below the curve, with a point for each
    different score. That area equals the share of pairs of a positive and a negative whose
    positive has the higher score, where equal scores count half (Mann and Whitney).

    Raises InputError for other labels, for one class only, and for scores that are not finite.
    """
    scores, labels = np.asarray(scores, np.float64), np.asarray(labels)
    if scores.ndim != 1 or scores.shape != labels.shape:
        raise InputError(f"AUC: expected as many scores as labels, found {list(scores.shape)} and "
                         f"{list(labels.shape)}")
    if not np.isfinite(scores).all():
        raise InputError("AUC: expected finite scores, found inf or nan")
    positives, negatives = scores[labels == 1], scores[labels == 0]
    if len(positives) + len(negatives) != len(scores):
        raise InputError("AUC: expected labels 0 (normal) and 1 (anomaly) only")
    if not len(positives) or not len(negatives):
        raise InputError("AUC: needs samples of both labels, 0 (normal) and 1 (anomaly)")
    ordered = np.sort(negatives)
    below = np.searchsorted(ordered, positives, "left")
    not_above = np.searchsorted(ordered, positives, "right")
    return float((below + not_above).sum() / (2 * len(positives) * len(negatives)))
