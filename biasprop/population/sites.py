"""Sites of a pretraining cohort: parts of it that are never brought together, such as hospitals."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from biasprop.population.attributes import Attributes


def sites(subgroups: Sequence[str], attributes: Attributes | None, attribute: str | None) -> dict[str, tuple[int, ...]]:
    """Site -> positions of its subgroups; every subgroup is in one site.

    Args:
        subgroups: names, in the order of the generator.
        attributes: of the subgroups, if they have any.
        attribute: the attribute whose values are the sites; None: every subgroup is a site. A random attribute whose
            levels are drawn within the values of another one has a site for each pair of values, as in
            ``site_1 of academic``. Values of no subgroup are left out.

    Raises:
        ValueError: there is no such attribute.
    """
    if attribute is None:
        return {name: (position,) for position, name in enumerate(subgroups)}
    if attributes is None or attribute not in attributes.names:
        raise ValueError(f"there is no attribute {attribute!r}")
    law = attributes.random.get(attribute)
    naming = [attribute, *([law.within] if law is not None and law.within is not None else [])]
    columns = [attributes.names.index(name) for name in naming]
    found: dict[str, tuple[int, ...]] = {}
    for position, values in enumerate(attributes.subgroups):
        name = " of ".join(values[column] for column in columns)
        found[name] = (*found.get(name, ()), position)
    return found


def of_subgroups(found: Iterable[Sequence[int]]) -> NDArray[np.int8]:
    """Position of the site of each subgroup.

    Args:
        found: positions of the subgroups of each site, from :func:`sites`.
    """
    numbered = {subgroup: site for site, subgroups in enumerate(found) for subgroup in subgroups}
    return np.array([numbered[subgroup] for subgroup in range(len(numbered))], np.int8)
