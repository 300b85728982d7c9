"""The difference between a level and the best of several others, chosen on calibration subjects, in one subgroup."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from biasprop.estimands.one_subgroup import OneSubgroup
from biasprop.statistics.estimand import MARGIN, PATIENTS, Arm, FactorName, Inputs, Level, LevelName, RefersTo, Values


class DifferenceFromBest(OneSubgroup):
    """difference_from_best: level of a subgroup at one level of a factor - its level at the best of other levels, such
    as the best of several single sites.

    In every replicate the best is the level with the highest AUC on the calibration subjects of all subgroups together
    (``evaluation.calibration``, true labels), as a mean over draws, so that no test subject has a part in the choice.
    They are many more than the validation subjects, a fifth of the label budget, which often miss the best: the level
    is then compared with a worse one, and the difference too high. Of levels with equal AUCs it is the first.
    """

    kind: Literal["difference_from_best"] = "difference_from_best"
    """What is measured."""

    factor: FactorName
    """The factor that has the levels."""

    level: LevelName
    """Its level that is compared with the best of the others."""

    candidates: Annotated[tuple[Level, ...], Field(min_length=2), RefersTo("level")]
    """Its levels among which the best is chosen, at least two."""

    runs_over = ("factor",)
    default_margin, margin_reason = MARGIN, PATIENTS
    phrase = (
        "with {level} in {factor}, {measure} in {subgroup}{place} [is higher by {number} than|is lower by {number} "
        "than|differs by {number} from that] with the best of the others on calibration subjects"
    )

    def problems(self) -> Iterable[str]:
        """Return what is wrong with the fields taken together."""
        if twice := [name for i, name in enumerate(self.candidates) if name in self.candidates[:i]]:
            yield f"candidates must be different; {', '.join(map(str, twice))} is named more than once"
        if self.level in self.candidates:
            yield f"candidates must not name {self.level!r}, which is compared with them"

    def arms(self, inputs: Inputs) -> list[Arm]:
        """Return the arm at the level and at all candidates."""
        return [inputs.arm | {self.factor: level} for level in (self.level, *self.candidates)]

    def values(self, inputs: Inputs) -> Values:
        """Return the paired differences, and how often each candidate was chosen."""
        from biasprop.statistics.measures import per_replicate  # with xarray, which a study file loads without

        arm, *others = self.arms(inputs)
        calibration = per_replicate(inputs.measures, "calibration_auc")
        aucs = np.stack([calibration.sel(other).values for other in others])
        levels = np.stack([inputs.values.sel(other).values for other in others])
        whole = ~np.isnan(aucs + levels).any(axis=0)
        best = np.where(whole, aucs, 0.0).argmax(axis=0)
        chosen = np.where(whole, np.take_along_axis(levels, best[None], axis=0)[0], np.nan)
        counts = np.bincount(best[whole], minlength=len(others))
        often = ", ".join(f"{name} {n}" for name, n in zip(self.candidates, counts, strict=True) if n)
        return Values(
            inputs.values.sel(arm).values - chosen,
            why=f"replicates in which each was the best on calibration subjects: {often}" if often else "",
        )
