"""Cues of a disease: independent standard normals plus ``loading * severity``; shared by generators of images."""

from __future__ import annotations

import math


def informed_auc(count: int, loading: float, severity_sd: float, apart: float = 1.0) -> float:
    """AUC of an observer who knows all cues of a disease and nothing else about severity.

    Given the label the cues are normal with covariance ``I + (l s)^2 11'`` and means ``l a`` apart, so
    ``d'^2 = k (l a)^2 / (1 + k l^2 s^2)`` and ``AUC = Phi(d' / sqrt 2)`` (Barrett and Myers 2004, ch. 13).

    Args:
        count: number of cues, k.
        loading: change of each cue per unit of severity, in standard deviations of the cue, l.
        severity_sd: sd of severity within a class, s.
        apart: difference of mean severity between the classes, a.
    """
    from scipy.special import ndtr

    energy = count * loading**2
    return float(ndtr(math.sqrt(energy * apart**2 / (1 + energy * severity_sd**2) / 2)))
