"""Simulated replicate-level results with a known truth, like those of stored studies, on which statistics are checked.

One simulated study is the z = sqrt(2) * inverse normal CDF of the AUC of every pretraining mix, subgroup, protocol and
label budget, paired by replicate. Around their means the six values of an arm (3 mixes x 2 subgroups) are decomposed
into six orthonormal directions: mean, A - B and curvature over the mixes, times mean and difference of the subgroups.
The deviation along a direction is the sum of a part shared by all arms of a replicate, a part shared by the label
budgets of a linear probe on one frozen encoder, and a part of the arm alone; each is skewed.

Source of the numbers: the shipped study ``skin_tone`` (seed 20261, its six replicates, Numerics 2). Means are its
means; variances are moments of its six replicates, covariances within a direction averaged over budgets, negative ones
set to 0. Six replicates say little about skewness (pooled over arms: 0.4 for z, 0.0 for gaps, -0.2 for excess gaps,
between -1.0 and 1.3 for swap contrasts), so it was also read off 41 replicates of the same generator and objective on
16 x 16 pixels (one block of width 32, 200 steps, linear probe, 50 to 1,000 labels): root mean square over arms, less
what 41 normal values would have, 0.9 for z, 0.6 for gaps, 0.5 for excess gaps, 0.3 for swap contrasts. :data:`SKEW`
gives about as much.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    import xarray as xr

MIXES = ("to A", "balanced", "to B")
"""Levels of the factor ``pretraining``: skewed to subgroup A, balanced, skewed to subgroup B."""
SUBGROUPS = ("A", "B")
PROTOCOLS = ("linear_probe", "full")
BUDGETS = (50, 200, 1000, 5000)

MEANS = np.array(
    [
        [[[1.32, 1.46, 1.49, 1.52], [1.16, 1.39, 1.44, 1.44]], [[1.03, 1.14, 1.22, 1.27], [0.88, 1.15, 1.21, 1.20]]],
        [[[1.00, 1.20, 1.31, 1.36], [0.92, 1.25, 1.27, 1.29]], [[0.80, 0.92, 1.05, 1.11], [0.70, 1.01, 1.09, 1.09]]],
        [[[0.63, 0.73, 0.82, 0.92], [0.74, 1.03, 1.06, 1.04]], [[0.62, 0.73, 0.81, 0.87], [0.61, 0.76, 0.85, 0.85]]],
    ]
)
"""Mean z [pretraining, subgroup, protocol, labels]."""

OVER_MIXES = np.array([[1, 1, 1], [1, 0, -1], [1, -2, 1]]) / np.sqrt([[3], [2], [6]])
OVER_SUBGROUPS = np.array([[1, 1], [1, -1]]) / np.sqrt(2)
"""Orthonormal directions; A - B over the mixes times the difference of the subgroups is the swap contrast itself."""

REPLICATE = np.array([[0.141, 0.026], [0.041, 0.032], [0.013, 0.0]])
"""Sd of the part shared by all arms of a replicate [direction over mixes, direction over subgroups]."""
ENCODER = np.array([[0.049, 0.023], [0.014, 0.032], [0.071, 0.037]])
"""Sd of the part shared by the linear probes of a replicate, which use the same encoders."""
ARM = np.array(
    [
        [[0.021, 0.076, 0.212], [0.033, 0.045, 0.130]],
        [[0.052, 0.089, 0.122], [0.033, 0.014, 0.067]],
        [[0.031, 0.061, 0.108], [0.021, 0.027, 0.064]],
    ]
)
"""Sd of the part of an arm alone: linear probe, full fine-tuning, full fine-tuning on 50 labels (last axis)."""

SKEW = np.array([[0.9, 0.6], [0.6, 0.6], [0.6, 0.6]])
"""Skewness of each part of a direction; sums of parts have less."""

BLOCK = 2**17
"""Normal values per draw, so that one compiled program serves all sizes."""


def simulate(
    seed: int, studies: int, replicates: int, means: NDArray[np.float64] = MEANS, skew: ArrayLike = SKEW
) -> xr.DataArray:
    """Simulate the z of whole studies.

    Args:
        seed: of the random numbers.
        studies, replicates: numbers of them.
        means: [pretraining, subgroup, protocol, labels].
        skew: skewness of the parts of the deviations, >= 0, one for all or [direction over mixes, direction over
            subgroups]; 0 is normal.

    Returns:
        z with dims (study, replicate, pretraining, subgroup, protocol, labels) and coords for the last four.
    """
    arms = len(PROTOCOLS) * len(BUDGETS)
    shape = (studies, replicates, 3, 2, 2 + arms)
    normal = normal_values(seed, shape)
    parts = skewed(normal, np.broadcast_to(skew, (3, 2))[..., None])
    own = np.stack([ARM[..., 0]] * len(BUDGETS) + [ARM[..., 2]] + [ARM[..., 1]] * (len(BUDGETS) - 1), axis=-1)
    probe = np.arange(arms) < len(BUDGETS)
    deviation = parts[..., :1] * REPLICATE[..., None] + parts[..., 1:2] * ENCODER[..., None] * probe
    deviation += parts[..., 2:] * own
    z = np.einsum("il,js,...ija->...lsa", OVER_MIXES, OVER_SUBGROUPS, deviation, optimize=True)
    return labelled(z.reshape(studies, replicates, *means.shape) + means)


def normal_values(seed: int, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return standard normal values of a shape."""
    import jax

    from biasprop import keys

    key = keys.stream(keys.replicate(seed, 0), keys.Stream.BOOTSTRAP)
    count = -(-int(np.prod(shape)) // BLOCK)
    blocks = [np.asarray(jax.random.normal(keys.at(key, i), (BLOCK,)), np.float64) for i in range(count)]
    return np.concatenate(blocks)[: np.prod(shape)].reshape(shape)


def labelled(z: NDArray[np.float64]) -> xr.DataArray:
    """Return z or its means with named dims: (study, replicate,) pretraining, subgroup, protocol, labels."""
    import xarray as xr

    names = ("pretraining", "subgroup", "protocol", "labels")
    coords = dict(zip(names, map(list, (MIXES, SUBGROUPS, PROTOCOLS, BUDGETS)), strict=True))
    return xr.DataArray(z, coords, (*("study", "replicate")[: z.ndim - 4], *names))


def skewed(normal: NDArray[np.float64], skew: ArrayLike) -> NDArray[np.float64]:
    """Transform standard normal values to skewed ones: shifted lognormal, mean 0, variance 1, this skewness (>= 0)."""
    # Skewness (w + 2) sqrt(w - 1) with w = exp(s^2), solved for w (Johnson, Biometrika 36, 1949).
    k = np.maximum(np.asarray(skew, np.float64), 1e-3)  # practically 0, where numerator and denominator vanish
    cube = ((2 + k**2 + np.sqrt(k**4 + 4 * k**2)) / 2) ** (1 / 3)
    w = cube + 1 / cube - 1
    return (np.exp(np.sqrt(np.log(w)) * normal) - np.sqrt(w)) / np.sqrt(w * (w - 1))


def with_contrast(beta: float | NDArray[np.float64]) -> NDArray[np.float64]:
    """Return means in which the skewed mixes differ from the balanced one by exactly this swap contrast, half in each
    subgroup.

    Args:
        beta: swap contrast on z, one for all arms or [protocol, labels].

    Returns:
        [pretraining, subgroup, protocol, labels]; the excess gap is ``beta`` for the mix skewed to A, -``beta`` for the
        other.
    """
    sign = np.array([1.0, 0.0, -1.0])[:, None] * np.array([1.0, -1.0])
    return MEANS[1] + 0.5 * sign[..., None, None] * np.broadcast_to(beta, MEANS.shape[2:])
