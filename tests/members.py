"""Small members of every room, made from the rooms' tables: a new member is tested without a new test.

Fields that a member requires get the middle of their range; sizes shared by name are made small.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, get_args, get_origin

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array, Float, Int

from biasprop import keys
from biasprop.component import Component, levers
from biasprop.encoders import ENCODERS
from biasprop.generators import GENERATORS, SOURCES
from biasprop.interfaces import Subjects
from biasprop.mitigations import MITIGATIONS, PRETRAINING_MITIGATIONS
from biasprop.objectives import OBJECTIVES
from biasprop.protocols import PROTOCOLS
from biasprop.study.conditions import Pretraining, PretrainingCondition
from biasprop.training.batching import Batch

ROOMS: dict[str, Mapping[str, type[Component]]] = {
    "generators": GENERATORS,
    "sources": SOURCES,
    "encoders": ENCODERS,
    "objectives": OBJECTIVES,
    "protocols": PROTOCOLS,
    "mitigations": MITIGATIONS,
    "pretraining_mitigations": PRETRAINING_MITIGATIONS,
}
EVERY = [(room, kind) for room, table in ROOMS.items() for kind in table]
"""Every member of every room."""

SMALL = {
    "size": 16,
    "patch": 8,
    "width": 8,
    "depth": 1,
    "heads": 2,
    "token_hidden": 8,
    "projection": 8,
    "decoder_width": 8,
}
"""Sizes of members that have a field of this name."""


def one_of_each(table: Mapping[str, type[Component]], alike: Any) -> list[Any]:
    """Parameters over a room: the first member of each sort as it is, those that only repeat its code as slow ones.

    Args:
        table: kind -> class.
        alike: what of a class says of which sort it is.
    """
    seen: set[Any] = set()
    found = []
    for kind, cls in table.items():
        sort = alike(cls)
        found.append(pytest.param(kind, marks=pytest.mark.slow) if sort in seen else kind)
        seen.add(sort)
    return found


SEED = 424_242
"""A seed that no study uses."""


def member(room: str, kind: str, **values: Any) -> Any:
    """A small, validated member of a room with these fields on top of its defaults."""
    cls = ROOMS[room][kind]
    given: dict[str, Any] = {name: size for name, size in SMALL.items() if _is_int(cls, name)}
    if "subgroups" in cls.model_fields:
        given["subgroups"] = {"a": level(cls), "b": level(cls)}
    return cls.model_validate(given | values)


def _is_int(cls: type[Component], name: str) -> bool:
    return name in cls.model_fields and cls.model_fields[name].annotation is int


def level_class(cls: type[Component]) -> type[Component]:
    """What one subgroup of a generator is made of."""
    inner = get_args(cls.model_fields["subgroups"].annotation)[1]
    return get_args(inner)[0] if get_origin(inner) is Annotated else inner


def level(cls: type[Component], **values: float) -> dict[str, float]:
    """One subgroup of a generator: every lever at its default or in the middle of its range, then ``values``."""
    fields = level_class(cls).model_fields
    return {n: sum(bounds(f)) / 2 if f.is_required() else f.default for n, f in fields.items()} | values


def bounds(field: Any) -> tuple[float, float]:
    """The range of a number's field."""
    low = next(getattr(mark, at) for mark in field.metadata for at in ("ge", "gt") if hasattr(mark, at))
    high = next(getattr(mark, at) for mark in field.metadata for at in ("le", "lt") if hasattr(mark, at))
    return float(low), float(high)


def level_levers(cls: type[Component]) -> tuple[str, ...]:
    """The levers of one subgroup of a generator."""
    return levers(level_class(cls))


def unlike(kind: str, name: str | None = None, by: float = 0.05, **values: Any) -> Any:
    """A generator whose subgroups differ in every lever, or in one, by this part of its range."""
    cls = GENERATORS[kind]
    base, other = level(cls), level(cls)
    for lever in level_levers(cls) if name is None else (name,):
        low, high = bounds(level_class(cls).model_fields[lever])
        base[lever] = min(base[lever], high - by * (high - low))
        other[lever] = base[lever] + by * (high - low)
    return member("generators", kind, subgroups={"a": base, "b": other}, **values)


def subjects(n: int, subgroup: int = 0, seed: int = SEED) -> Subjects:
    """``n`` subjects of one subgroup, healthy and diseased in turn."""
    index = jnp.arange(n)
    own = keys.at_each(keys.replicate(seed, 0), index)
    return Subjects(own, jnp.full(n, subgroup, jnp.int32), (index % 2).astype(jnp.int32))


def twins(of: Subjects, subgroup: int) -> Subjects:
    """The same subjects in another subgroup."""
    return of._replace(subgroup=jnp.full_like(of.subgroup, subgroup))


COMPANY = 256
"""Subjects looked at together: programs are compiled once for every structure, whatever the levers and however many."""


def in_company(look: Any, generator: Any, who: Subjects) -> Any:
    """What a compiled function of a generator and :data:`COMPANY` subjects says of any number of them, as NumPy arrays;
    the last company is filled up with the first subjects."""
    n = len(who.label)
    rows = np.arange(-(-n // COMPANY) * COMPANY).reshape(-1, COMPANY) % n
    whole = jax.tree.map(lambda leaf: leaf[rows], who)
    found = [look(generator, jax.tree.map(lambda leaf, i=i: leaf[i], whole)) for i in range(len(rows))]
    return jax.tree.map(lambda *parts: np.concatenate([np.asarray(part) for part in parts])[:n], *found)


@jax.jit
def rendered(generator: Any, who: Subjects) -> Float[Array, "n h w c"]:
    """Subjects rendered together, compiled for as many as there are."""
    return jax.vmap(generator.render)(who)


@jax.jit
def _masks(generator: Any, who: Subjects) -> Float[Array, "n h w"]:
    return jax.vmap(generator.mask)(who)


@jax.jit
def _latents(generator: Any, who: Subjects) -> Float[Array, "n k"]:
    return jax.vmap(generator.latents)(who)


@jax.jit
def _measured(generator: Any, images: Float[Array, "n h w c"], masks: Float[Array, "n h w"]) -> dict[str, Array]:
    return jax.vmap(generator.measure)(images, masks)


def images(generator: Any, who: Subjects) -> np.ndarray:
    """Rendered subjects [n, h, w, c]."""
    return in_company(rendered, generator, who)


def masks(generator: Any, who: Subjects) -> np.ndarray:
    """Where the disease is [n, h, w]."""
    return in_company(_masks, generator, who)


def latents(generator: Any, who: Subjects) -> np.ndarray:
    """Key latents [n, k]."""
    return in_company(_latents, generator, who)


def measured(generator: Any, who: Subjects) -> dict[str, np.ndarray]:
    """What is read back from the pixels of subjects, each [n]."""

    def look(generator: Any, who: Subjects) -> dict[str, Array]:
        return _measured(generator, rendered(generator, who), _masks(generator, who))  # each compiled for all its users

    return in_company(look, generator, who)


def auc(label: Int[Any, " n"], score: Float[Any, " n"]) -> float:
    """Area under the curve, by scikit-learn."""
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(np.asarray(label), np.asarray(score)))


def condition(
    objective: Any = "contrastive",
    shares: tuple[float, float] = (0.5, 0.5),
    generator: Any = None,
    encoder: Any = None,
    cohort: int = 64,
    **schedule: Any,
) -> PretrainingCondition:
    """A pretraining condition that takes a second or two."""
    if isinstance(objective, str):
        objective = member("objectives", objective)
    return PretrainingCondition(
        generator=generator or member("generators", "dermoscopy", subgroups={"a": "light", "b": "dark"}),
        encoder=encoder or member("encoders", "vit"),
        pretraining=Pretraining.model_validate(
            {
                "shares": dict(zip("ab", shares, strict=True)),
                "cohort": cohort,
                "objective": objective,
                "schedule": {"steps": 4, "batch": 8} | schedule,
            }
        ),
    )


def batch(*cells: tuple[PretrainingCondition, int]) -> Batch:
    """Cells of one structure, each a condition and a replicate."""
    conditions = [cell for cell, _ in cells]
    return Batch(
        jax.tree.map(lambda *leaves: np.stack([np.asarray(leaf) for leaf in leaves]), *conditions),
        jnp.stack([keys.replicate(SEED, replicate) for _, replicate in cells]),
    )


def compiled(function: Any) -> int:
    """How many programs a compiled function has."""
    return function._cache_size()


def same(a: Any, b: Any) -> bool:
    """Whether two trees of arrays hold the same bits."""
    one, other = jax.tree.leaves(a), jax.tree.leaves(b)
    return len(one) == len(other) and all(
        np.asarray(x).tobytes() == np.asarray(y).tobytes() for x, y in zip(one, other, strict=True)
    )
