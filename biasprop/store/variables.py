"""What one arm stores: the table of the cube's variables, their dims, types, CF attributes and producers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from biasprop.status import Status


@dataclass(frozen=True)
class Variable:
    """One variable of the cube inside one arm; in the cube the factors and ``replicate`` precede ``dims``."""

    dims: tuple[str, ...]
    dtype: str
    long_name: str
    absent: float = float("nan")
    """The value where nothing is stored (also the fill value on disk)."""
    attrs: dict[str, Any] = field(default_factory=dict)
    """Further CF attributes. There is no ``_FillValue``: integers stay integers in every reader, -1 or 0 is absent."""
    producer: Literal["encoder", "arm", "task"] = "arm"
    """What computes it: the pretrained encoder of a cell, once for all its arms; each arm; or each arm whose task lists
    it in ``stored``. The function is in ``execution.variables``."""
    exists_if: str = ""
    """Dotted key of the condition, such as ``evaluation.pretext``, that has to be true or above 0 for the variable to
    be computed; otherwise all of it is absent. Empty: it is always computed."""

    @property
    def attributes(self) -> dict[str, Any]:
        """CF attributes."""
        return {"long_name": self.long_name, "units": "1", **self.attrs}

    def shape(self, sizes: dict[str, int]) -> tuple[int, ...]:
        """Shape inside one arm."""
        return tuple(sizes[dim] for dim in self.dims)

    def empty(self, sizes: dict[str, int]) -> np.ndarray:
        """An arm's array with nothing in it."""
        return np.full(self.shape(sizes), self.absent, self.dtype)


def _labels(dim: str, what: str) -> Variable:
    flags = {"flag_values": np.array([-1, 0, 1], "i1"), "flag_meanings": "absent healthy disease"}
    return Variable((dim,), "i1", f"disease of the {what}", -1, flags, "task")


def _subgroups(dim: str, what: str) -> Variable:
    return Variable((dim,), "i1", f"subgroup of the {what}, as a position along subgroup; -1 is absent", -1)


def _latents(dims: tuple[str, ...], what: str) -> Variable:
    return Variable(("latent", *dims), "f4", f"latents the generator drew for a {what}")


DATA: dict[str, Variable] = {
    "score": Variable(
        ("draw", "subgroup", "subject"), "f4", "log-odds of disease for a test subject's twin", producer="task"
    ),
    "train_auc": Variable(
        ("draw", "subgroup"),
        "f4",
        "training AUC: scores of the fine-tuning subjects against their recorded labels; NaN without both classes",
        producer="task",
    ),
    "separability_score": Variable(
        ("subgroup", "subject"),
        "f4",
        "log-odds that a test subject's twin is of the last of two subgroups; of more, its placement",
    ),
    "label": _labels("subject", "test subject"),
    "latents": _latents(("subgroup", "subject"), "test subject's twin"),
    "realised_share": Variable(
        ("subgroup",),
        "f4",
        "share of each subgroup in the pretraining cohort as drawn; NaN without pretraining",
        producer="encoder",
        exists_if="pretraining.sees_subjects",
    ),
    "pretext_loss": Variable(
        ("subgroup",),
        "f4",
        "pretraining objective on held-out subjects of each subgroup; NaN unless evaluation.pretext is set",
        producer="encoder",
        exists_if="evaluation.pretext",
    ),
    "selection_score": Variable(
        ("draw", "selection"), "f4", "log-odds of disease for a validation subject", producer="task"
    ),
    "selection_label": _labels("selection", "validation subject"),
    "selection_subgroup": _subgroups("selection", "validation subject"),
    "selection_latents": _latents(("selection",), "validation subject"),
    "calibration_score": Variable(
        ("draw", "calibration"), "f4", "log-odds of disease for a calibration subject", producer="task"
    ),
    "calibration_label": _labels("calibration", "calibration subject"),
    "calibration_subgroup": _subgroups("calibration", "calibration subject"),
    "calibration_latents": _latents(("calibration",), "calibration subject"),
}
"""What the computation of an arm produces, in the order its checksum reads them."""

RECORD: dict[str, Variable] = {
    "seconds": Variable((), "f4", "wall time of the arm", attrs={"units": "s"}),
    "fingerprint": Variable((), "u8", "hash of the software and hardware that computed the arm; 0 is absent", 0),
    "checksum": Variable((), "u8", "64-bit blake2b of the arm's data; 0 is absent", 0),
    "status": Variable(
        ("draw",),
        "i1",
        "status of the arm's draw",
        Status.OPEN,
        {"flag_values": np.array(Status, "i1"), "flag_meanings": " ".join(status.name.lower() for status in Status)},
    ),
}
"""The record of an arm; ``status`` is last, because it is written last."""

VARIABLES: dict[str, Variable] = DATA | RECORD
