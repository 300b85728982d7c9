"""What loops across sites have in common: which sites there are, their batches and their weights."""

from __future__ import annotations

from typing import Literal

import jax.numpy as jnp
from jaxtyping import Array, Float, Int
from pydantic import Field

from biasprop.component import Component
from biasprop.interfaces import Params


class AcrossSites(Component):
    """A cohort that is divided among sites (a :class:`biasprop.interfaces.HasSites`)."""

    sites: str | None = Field(default=None, exclude_if=lambda name: name is None)
    """Attribute of the population whose values are the sites, such as ``site``; left out: every subgroup is a site. The
    shares of the cohort say how large a site is and who is in it, and its shifts how it acquires images."""
    weights: Literal["size", "equal"] = "size"
    """Weight of a site: the size of its cohort (McMahan et al. 2017), or the same for all. All sites have the same
    number of images in a step."""

    def sites_per_round(self, sites: int) -> int:
        """Number of sites, of all, that take part in a step: all."""
        return sites

    def images_per_site(self, batch: int, sites: int) -> int:
        """Images of each site in a step.

        Args:
            batch: images per step.
            sites: number of sites.

        Raises:
            ValueError: the batch cannot be divided equally, or a site would have fewer than 2.
        """
        parts = self.sites_per_round(sites)
        if batch % parts or batch < 2 * parts:
            nearest = max(round(batch / parts), 2) * parts
            raise ValueError(
                f"is {batch}; has to be a multiple of {parts}, with 2 images or more at each of the "
                f"{parts} sites of a step, such as {nearest}"
            )
        return batch // parts

    def bytes_sent(self, params: Params, sites: int, steps: int) -> int:
        """Bytes of parameters that sites send and receive: none."""
        return 0

    def site_weights(self, sizes: Int[Array, " s"]) -> Float[Array, " s"]:
        """Weights of sites with these numbers of members; they sum to 1, and a site without members has none."""
        raw = sizes.astype(jnp.float32) if self.weights == "size" else (sizes > 0).astype(jnp.float32)
        return raw / jnp.maximum(jnp.sum(raw), 1)
