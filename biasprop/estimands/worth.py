"""What pretraining is worth: against a reference without it, each side at its best protocol."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Literal

import numpy as np

from biasprop.estimands.against_reference import AgainstReference
from biasprop.estimands.one_subgroup import OneSubgroup
from biasprop.statistics.estimand import MARGIN, PATIENTS, Arm, Inputs, LevelName, RefersTo, Values


class Worth(AgainstReference, OneSubgroup):
    """worth: level of a subgroup - its level at the reference, usually scratch; each side has the protocol with the
    highest validation AUC."""

    kind: Literal["worth"] = "worth"
    """What is measured."""

    reference: LevelName
    """Its level without pretraining, trained to its plateau."""

    protocol: Annotated[str | None, RefersTo("factor")] = None
    """The factor that holds the fine-tuning protocols. Each side then has the protocol with the highest AUC on the
    validation subjects of all subgroups together, as a mean over replicates. Left out: both sides have that of the
    arm."""

    runs_over = ("protocol",)
    favours_a = True
    default_margin, margin_reason = MARGIN, PATIENTS
    phrase = (
        "with {level} instead of {reference} in {factor}, the {measure} of {subgroup}{place} [rises|falls|changes] by "
        "{number}"
    )

    def problems(self) -> Iterable[str]:
        """Return what is wrong with the fields taken together."""
        yield from super().problems()
        if self.protocol == self.factor:
            yield "protocol must not be the factor that has the reference"

    def arms(self, inputs: Inputs) -> list[Arm]:
        """Return the arm and the reference, with every protocol that may be chosen."""
        return [arm for side in self._sides(inputs) for arm in side]

    def values(self, inputs: Inputs) -> Values:
        """Return the paired differences, and which protocols were chosen."""
        chosen = [self._chosen(inputs, side) for side in self._sides(inputs)]
        level, reference = (inputs.values.sel(arm).values for arm in chosen)
        if self.protocol is None:
            return Values(level - reference)
        # Replicates from which the choice was not made are left out of the mean as well.
        whole = np.all([~np.isnan(inputs.values.sel(arm).values) for arm in self.arms(inputs)], axis=0)
        level = np.where(whole, level, np.nan)
        names = [arm[self.protocol] for arm in chosen]
        return Values(level - reference, why=f"chosen on validation: {names[0]}; for {self.reference}: {names[1]}")

    def _sides(self, inputs: Inputs) -> tuple[list[Arm], list[Arm]]:
        """Arms of the level and of the reference, one for each protocol."""
        protocols = [{}] if self.protocol is None else [{self.protocol: p} for p in inputs.levels(self.protocol)]
        reference = inputs.arm | {self.factor: self.reference}
        return [inputs.arm | one for one in protocols], [reference | one for one in protocols]

    def _chosen(self, inputs: Inputs, side: Sequence[Arm]) -> Arm:
        """The arm with the highest mean validation AUC over the replicates that have one of every arm; the first where
        no replicate has."""
        if len(side) == 1:
            return side[0]
        from biasprop.statistics.measures import per_replicate  # with xarray, which a study file loads without

        validation = per_replicate(inputs.measures, "validation_auc")
        aucs = np.stack([validation.sel(arm).values for arm in side])
        whole = ~np.isnan(aucs).any(axis=0)
        return side[int(aucs[:, whole].mean(axis=1).argmax())] if whole.any() else side[0]
