"""Net benefit of acting on a model's decisions (Vickers and Elkin, Medical Decision Making 26, 2006)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import logit

from biasprop.metrics.counts import weights


def net_benefit(
    scores: ArrayLike, labels: ArrayLike, threshold_probability: ArrayLike, weight: ArrayLike | None = None
) -> NDArray[np.float64]:
    """True positives per subject minus false positives per subject times p / (1 - p), at the threshold probability p.

    A subject is called diseased if the predicted probability is above p, the probability at which treating and not
    treating are worth the same: p / (1 - p) false positives are as bad as one true positive is good. Treating no one
    has net benefit 0, treating all prevalence - (1 - prevalence) p / (1 - p), and a perfect model the prevalence.
    All of them depend on the prevalence among the subjects that count. Weights can give another one, and then the
    scores have to be log-odds at that prevalence too.

    Args:
        scores: [..., n] log-odds.
        labels: [..., n], 0 or 1.
        threshold_probability: [...] in (0, 1).
        weight: [..., n], >= 0.

    Returns:
        [...] per subject, at most the prevalence and possibly negative; NaN where nothing counts.

    Raises:
        ValueError: a threshold probability lies outside (0, 1).
    """
    p = np.asarray(threshold_probability, np.float64)
    if not ((p > 0) & (p < 1)).all():
        raise ValueError("threshold_probability must lie in (0, 1)")
    w = weights(scores, labels, weight)
    called = np.where(np.asarray(scores) > logit(p)[..., None], w, 0.0)
    diseased = np.asarray(labels) == 1
    true_positive, false_positive = ((called * which).sum(axis=-1) for which in (diseased, ~diseased))
    total = w.sum(axis=-1)
    return (true_positive - false_positive * p / (1.0 - p)) / np.where(total > 0, total, np.nan)
