"""Muon: momentum orthogonalised by Newton-Schulz iterations (Jordan et al. 2024), for matrices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from jaxtyping import Array, Float
from pydantic import Field

from biasprop.component import Component
from biasprop.interfaces import RateOfStep
from biasprop.optimisers.adamw import matrices

if TYPE_CHECKING:
    import optax


class Muon(Component):
    """Steepest descent in the spectral norm of each matrix, and AdamW with Nesterov momentum for everything else.

    Updates of matrices are scaled to a root mean square of ``rms`` (Liu et al. 2025, arXiv 2502.16982), which is about
    that of Adam's updates, so that both have learning rates of one size.
    """

    kind: Literal["muon"] = "muon"
    rms: Annotated[float, Field(gt=0, le=1)] = 0.2
    """Root mean square of the update of a matrix, per unit of the learning rate."""
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.95
    """Decay rate of the average of gradients (Nesterov)."""

    def transformation(self, rate: RateOfStep, weight_decay: float | Float[Array, ""]) -> optax.GradientTransformation:
        """The gradient transformation.

        Args:
            rate: learning rate at a step.
            weight_decay: per unit of the learning rate.
        """
        from optax import contrib

        return contrib.muon(
            rate,  # pyright: ignore[reportArgumentType] - optax passes an integer step
            beta=self.momentum,
            weight_decay=weight_decay,  # pyright: ignore[reportArgumentType] - may be traced
            weight_decay_mask=matrices,
            consistent_rms=self.rms,
        )
