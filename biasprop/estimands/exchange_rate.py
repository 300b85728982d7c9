"""How many labels of a subgroup one of its pretraining images is worth."""

from __future__ import annotations

from typing import Literal

import numpy as np

from biasprop.estimands.between import OfB
from biasprop.statistics import contrasts
from biasprop.statistics.estimand import Arm, BudgetName, FactorName, Inputs, Level, Values


class ExchangeRate(OfB):
    """exchange_rate: labels of B that raise z(AUC_B) as much as one pretraining image of B in the place of one of A."""

    kind: Literal["exchange_rate"] = "exchange_rate"
    """What is measured."""

    factor: FactorName
    """The factor that holds the pretraining mixes."""

    budget: BudgetName
    """The factor that holds the label budgets."""

    runs_over = ("factor",)
    favours_a = True
    unit = "labels per image"
    interval = "Fieller"
    phrase = "a pretraining image of {subgroups[1]} in place of one of {subgroups[0]}{place} is worth {number}"

    def arms(self, inputs: Inputs) -> list[Arm]:
        """Return the arm at all mixes of A and B and all budgets."""
        budgets = inputs.levels(self.budget)
        return [inputs.arm | {self.factor: mix, self.budget: level} for mix in self._mixes(inputs) for level in budgets]

    def values(self, inputs: Inputs) -> Values:
        """Return the change in z(AUC) of B per pretraining image of A replaced by one of B, and per added label of
        B."""
        measures, z, arm, subgroups = inputs
        subgroup = subgroups[1]
        missing = np.full(z.sizes["replicate"], np.nan)
        mixes = self._mixes(inputs)
        if len(mixes) < 2 or z.sizes[self.budget] < 2:
            pair = " and ".join(subgroups)
            why = f"needs two mixes of {pair} along {self.factor}, with known shares, and two budgets"
            return Values(missing, missing, why=why)
        share = measures["share"].sel({self.factor: mixes, "subgroup": subgroup}).values
        sizes = measures["cohort_size"].sel({self.factor: mixes}).values
        if not (sizes == sizes[0]).all():
            why = "the pretraining mixes differ in cohort size as well as in shares"
            return Values(missing, missing, why=why)
        labelled = measures["label_share"].sel(subgroup=subgroup)
        labelled = labelled.sel({name: arm[str(name)] for name in labelled.dims if name in arm}).values
        if labelled.ndim or not labelled > 0:
            why = f"the share of {subgroup} among the labelled subjects has to be one number above 0"
            return Values(missing, missing, why=why)
        surface = z.sel(inputs.without(self.budget) | {self.factor: mixes}).transpose(
            "replicate", self.factor, self.budget
        )
        slope_of_share, slope_of_log_labels = contrasts.learning_surface(surface.values, share, z[self.budget].values)
        labels = float(labelled) * float(arm[self.budget])
        return Values(slope_of_share / sizes[0], slope_of_log_labels / labels)

    def _mixes(self, inputs: Inputs) -> list[Level]:
        """Return the levels of the factor at which the pretraining cohort consists of A and B only."""
        measures, levels = inputs.measures, inputs.levels(self.factor)
        if "share" not in measures.coords or self.factor not in measures["share"].dims:
            return []
        both = measures["share"].sel(subgroup=list(inputs.subgroups)).sum("subgroup", skipna=False)
        return [level for level in levels if abs(float(both.sel({self.factor: level})) - 1) < 1e-6]
