"""Groups that facts name and the table lacks: either they are others, or a name is misspelt. A card says so."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from biasprop.card.facts import STAGES, Facts
from biasprop.component import closest
from biasprop.study.location import Location


@dataclass(frozen=True)
class UnknownGroup:
    """An attribute or a group that the table and the stated population lack."""

    attribute: str
    group: str
    """Empty = the whole attribute."""
    location: Location
    """Its key in the facts."""
    meant: str
    """An attribute or group that is like it and is not stated in the facts as well; empty if there is none."""

    @property
    def why(self) -> str:
        """What is said of it."""
        question = f"; did you mean {self.meant}?" if self.meant else ""
        if self.group:
            return f"neither the table nor --population has this group of {self.attribute}{question}"
        return f"--by names no such attribute, so its groups are not tested{question}"


def unknown_groups(facts: Facts, known: Mapping[str, Collection[str]]) -> list[UnknownGroup]:
    """Return the attributes and groups with stated shares that the table and the stated population lack.

    Args:
        facts: what is stated.
        known: attribute -> groups of the table and of the stated population.
    """
    found = []
    for stage in STAGES:
        attributes = getattr(facts, stage).shares
        for attribute, shares in attributes.items():
            location: Location = (stage, "shares", attribute)
            if attribute not in known:
                meant = closest(attribute, [name for name in known if name not in attributes])
                found.append(UnknownGroup(attribute, "", location, meant or ""))
                continue
            others = [name for name in known[attribute] if name not in shares]
            for group in shares:
                if group not in known[attribute]:
                    meant = closest(group, others)
                    found.append(UnknownGroup(attribute, group, (*location, group), meant or ""))
    return found
