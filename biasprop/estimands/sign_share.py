"""The share of sampled settings in which an effect has its sign."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from biasprop.estimands.against_reference import AgainstReference
from biasprop.statistics import contrasts, stability
from biasprop.statistics.estimand import MARGIN, Arm, Inputs, RefersTo, Values
from biasprop.statistics.stability import MIN_SETTINGS, NOT_ROBUST, ROBUST, ROBUST_SHARE
from biasprop.statistics.verdict import NEGLIGIBLE, NOT_RESOLVED, zone

if TYPE_CHECKING:
    import xarray as xr

    from biasprop.statistics.paired import Paired
    from biasprop.statistics.summary import Estimate


class SignShare(AgainstReference):
    """sign_share: share of sampled settings whose true effect, a level minus a reference level, has the expected sign.

    Of two subgroups the effect is an excess gap, of one it is what that subgroup gains: with opposite cohorts as level
    and reference, its own-representation effect. A setting runs in one replicate, so what a replicate adds is taken out
    with the sd between replicates of another study.
    """

    kind: Literal["sign_share"] = "sign_share"
    """What is measured."""

    subgroups: Annotated[tuple[str, ...], Field(min_length=1, max_length=2), RefersTo("subgroup")]
    """A and B, for gaps A - B, or one subgroup."""

    replicate_sd: Annotated[float, Field(gt=0)]
    """Sd of the same effect between replicates of one setting, on the estimand's scale, from another study."""

    replicate_sd_from: Annotated[int, Field(ge=2)]
    """Number of replicates that sd was estimated from."""

    unit = "of settings"
    digits = 2
    favours_a = True
    interval = "generalised"
    tested = False
    over_settings = True
    phrase = "the true effect of {level} instead of {reference}{place} has the expected sign in {number}"
    default_margin: ClassVar[float | None] = MARGIN
    margin_reason: ClassVar[str] = (
        "of the mean effect, on the estimand's scale: the sign of an effect that is negligible in the mean does not "
        "matter; on z, .10 is about .016 AUC at an AUC of .85"
    )

    @property
    def pair(self) -> tuple[str, str] | None:
        """A and B; None for one subgroup."""
        return (self.subgroups[0], self.subgroups[1]) if len(self.subgroups) == 2 else None

    def problems(self) -> Iterable[str]:
        """Return what is wrong with the fields taken together."""
        if len(set(self.subgroups)) < len(self.subgroups):
            yield "subgroups must be different subgroups"
        if self.sign == "either":
            yield "sign has to be that of the effect whose stability is asked for, positive or negative"
        yield from super().problems()

    def subgroup_sets(self, known: Sequence[str]) -> list[tuple[str, ...]]:
        """Return the subgroups, one estimate per arm."""
        return [self.subgroups]

    def reduce(self, values: xr.DataArray, subgroups: tuple[str, ...]) -> xr.DataArray:
        """Return gaps A - B, or the values of the one subgroup."""
        if len(subgroups) == 2:
            return contrasts.gap(values, (subgroups[0], subgroups[1]))
        return values.sel(subgroup=subgroups[0], drop=True)

    def arms(self, inputs: Inputs) -> list[Arm]:
        """Return the arm and the same arm at the reference level."""
        return [inputs.arm, inputs.arm | {self.factor: self.reference}]

    def values(self, inputs: Inputs) -> Values:
        """Return the effects, one of each setting."""
        arm, reference = self.arms(inputs)
        return Values(inputs.values.sel(arm).values - inputs.values.sel(reference).values)

    def true_effects(self, effects: NDArray[np.float64]) -> stability.SignShare:
        """Return the distribution of the true effects of settings.

        Args:
            effects: [setting], as observed; none missing.
        """
        return stability.sign_share(effects, self.replicate_sd, self.replicate_sd_from - 1, self.expected)

    def untested(self, contrast: Paired, empty: Estimate) -> Estimate:
        """Return the share with its interval, and whether the effect is robust.

        Verdicts: negligible (the mean over settings is inside the margin), robust (the interval of the share is at
        least .8), not robust (it is below), or not resolved.
        """
        from biasprop.statistics.intervals import t_interval  # here, because a plan needs no xarray

        effects = contrast.values[~np.isnan(contrast.values)]
        found = self.true_effects(effects)
        mean = t_interval(effects)
        reasons = [contrast.reason]
        if len(effects) < MIN_SETTINGS:
            no_spread = "; without one, and with no spread of true effects, a share says nothing" * (found.sd == 0)
            reasons.append(f"an interval needs {MIN_SETTINGS} settings, there are {len(effects)}{no_spread}")
        if len(effects):
            observed = int((self.expected * effects > 0).sum())
            spread = "" if np.isnan(found.sd) else f", sd of true effects {found.sd:.3f}"
            reasons.append(
                f"observed sign in {observed} of {len(effects)} settings; mean effect {mean.value:+.3f}{spread}"
            )
        return replace(
            empty,
            value=found.value,
            low=found.low,
            high=found.high,
            method=self.interval,
            verdict=self._verdict(found.low, found.high, mean.low, mean.high),
            reason="; ".join(reason for reason in reasons if reason),
        )

    def _verdict(self, low: float, high: float, mean_low: float, mean_high: float) -> str:
        if self.margin_used is not None and zone(mean_low, mean_high, self.margin_used) == NEGLIGIBLE:
            return NEGLIGIBLE
        return ROBUST if low >= ROBUST_SHARE else NOT_ROBUST if high < ROBUST_SHARE else NOT_RESOLVED
