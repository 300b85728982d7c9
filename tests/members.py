"""Small members of every room, built from the rooms' tables, so that a new member is tested without a new test.

Required fields get the middle of their range; sizes in :data:`SMALL` are made small.
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
from biasprop.difficulty import DIFFICULTIES, IN_MODES, in_modes
from biasprop.encoders import ENCODERS
from biasprop.generators import GENERATORS
from biasprop.generators.images import ImageGenerator
from biasprop.interfaces import ArraySpec, Example, RendersImages, Spec, Subjects
from biasprop.loops import LOOPS
from biasprop.mitigations import MITIGATIONS, PRETRAINING_MITIGATIONS
from biasprop.normalisations import NORMALISATIONS
from biasprop.objectives import OBJECTIVES
from biasprop.optimisers import OPTIMISERS
from biasprop.protocols import PROTOCOLS
from biasprop.sources import SOURCES
from biasprop.study.conditions import Pretraining, PretrainingCondition
from biasprop.tasks import TASKS
from biasprop.training.batching import Batch
from tests.generators.disc import Disc

SIMULATED = {kind: cls for kind, cls in IN_MODES.items() if not hasattr(cls.generator_class, "with_people")}
"""Generators that simulate subjects; one of a table of people has tests of its own (``tests/datasets``)."""

ROOMS: dict[str, Mapping[str, type[Component]]] = {
    "generators": SIMULATED | in_modes({"disc": Disc}, DIFFICULTIES),
    "sources": SOURCES,
    "encoders": ENCODERS,
    "objectives": OBJECTIVES,
    "protocols": PROTOCOLS,
    "mitigations": MITIGATIONS,
    "pretraining_mitigations": PRETRAINING_MITIGATIONS,
    "loops": LOOPS,
    "normalisations": NORMALISATIONS,
    "optimisers": OPTIMISERS,
    "tasks": TASKS,
}
IMAGES = [kind for kind, cls in GENERATORS.items() if issubclass(cls, ImageGenerator)]
"""Kinds of generators whose examples are images."""

EVERY = [(room, kind) for room, table in ROOMS.items() for kind in table]
"""(room, kind) of every member."""

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
    """Test parameters over a room: the first member of each sort, and the others, which repeat its code, marked slow.

    Args:
        table: kind -> class.
        alike: class -> its sort.
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
    """A small, validated member of a room with these fields and defaults for the rest."""
    cls = ROOMS[room][kind]
    given: dict[str, Any] = {name: size for name, size in SMALL.items() if _is_int(cls, name)}
    if "subgroups" in cls.model_fields:
        given["subgroups"] = {"a": level(cls), "b": level(cls)}
    if "generator" in cls.model_fields:
        given |= {"generator": differing("gaussian", "amplitude"), "shares": {"a": 0.5, "b": 0.5}}
    return cls.model_validate(given | values)


def _is_int(cls: type[Component], name: str) -> bool:
    return name in cls.model_fields and cls.model_fields[name].annotation is int


def level_class(cls: type[Component]) -> type[Component]:
    """Class of one subgroup of a generator."""
    inner = get_args(cls.model_fields["subgroups"].annotation)[1]
    return get_args(inner)[0] if get_origin(inner) is Annotated else inner


def level(cls: type[Component], **values: float) -> dict[str, float]:
    """One subgroup of a generator: ``values``, and defaults or the middle of the range for the other levers."""
    fields = level_class(cls).model_fields
    return {n: sum(bounds(f)) / 2 if f.is_required() else f.default for n, f in fields.items()} | values


def bounds(field: Any) -> tuple[float, float]:
    """Lower and upper bound of a numeric field."""
    low = next(getattr(mark, at) for mark in field.metadata for at in ("ge", "gt") if hasattr(mark, at))
    high = next(getattr(mark, at) for mark in field.metadata for at in ("le", "lt") if hasattr(mark, at))
    return float(low), float(high)


def level_levers(cls: type[Component]) -> tuple[str, ...]:
    """The levers of one subgroup of a generator."""
    return levers(level_class(cls))


def differing(kind: str, name: str | None = None, by: float = 0.05, **values: Any) -> Any:
    """A generator whose subgroups differ in every lever, or in one, by a fraction ``by`` of its range."""
    cls = ROOMS["generators"][kind]
    base, other = level(cls), level(cls)
    for lever in level_levers(cls) if name is None else (name,):
        low, high = bounds(level_class(cls).model_fields[lever])
        base[lever] = min(base[lever], high - by * (high - low))
        other[lever] = base[lever] + by * (high - low)
    return member("generators", kind, subgroups={"a": base, "b": other}, **values)


def image_spec(*shape: int) -> Spec:
    """The spec of examples that are one image of this shape."""
    return {"image": ArraySpec(shape)}


def subjects(n: int, subgroup: int = 0, seed: int = SEED) -> Subjects:
    """``n`` subjects of one subgroup, alternately healthy and diseased."""
    index = jnp.arange(n)
    subject_keys = keys.at_each(keys.replicate(seed, 0), index)
    return Subjects(subject_keys, jnp.full(n, subgroup, jnp.int32), (index % 2).astype(jnp.int32))


def twins(who: Subjects, subgroup: int) -> Subjects:
    """The same subjects in another subgroup."""
    return who._replace(subgroup=jnp.full_like(who.subgroup, subgroup))


RENDER_BATCH = 256
"""Subjects per compiled call, so that one program per structure serves all levers and numbers of subjects."""


def in_batches(function: Any, generator: Any, who: Subjects) -> Any:
    """Apply a compiled function of a generator and :data:`RENDER_BATCH` subjects to any number of subjects.

    Returns NumPy arrays. The last batch is padded with the first subjects.
    """
    n = len(who.label)
    rows = np.arange(-(-n // RENDER_BATCH) * RENDER_BATCH).reshape(-1, RENDER_BATCH) % n
    whole = jax.tree.map(lambda leaf: leaf[rows], who)
    found = [function(generator, jax.tree.map(lambda leaf, i=i: leaf[i], whole)) for i in range(len(rows))]
    return jax.tree.map(lambda *parts: np.concatenate([np.asarray(part) for part in parts])[:n], *found)


@jax.jit
def rendered(generator: Any, who: Subjects) -> Float[Array, "n h w c"]:
    """Images of subjects, compiled for their number."""
    return jax.vmap(generator.render)(who)


@jax.jit
def observed(generator: Any, who: Subjects) -> Example:
    """Examples of subjects, compiled for their number."""
    return jax.vmap(generator.observe)(who)


@jax.jit
def _masks(generator: Any, who: Subjects) -> Float[Array, "n h w"]:
    return jax.vmap(generator.mask)(who)


@jax.jit
def _latents(generator: Any, who: Subjects) -> Float[Array, "n k"]:
    return jax.vmap(generator.latents)(who)


@jax.jit
def _measure_batch(generator: Any, images: Float[Array, "n h w c"], masks: Float[Array, "n h w"]) -> dict[str, Array]:
    return jax.vmap(generator.measure)(images, masks)


def images(generator: Any, who: Subjects) -> np.ndarray:
    """Rendered subjects [n, h, w, c]."""
    return in_batches(rendered, generator, who)


def examples(generator: Any, who: Subjects) -> dict[str, np.ndarray]:
    """Examples of subjects: name -> [n, ...]."""
    return in_batches(observed, generator, who)


def masks(generator: Any, who: Subjects) -> np.ndarray:
    """Disease masks [n, h, w]."""
    return in_batches(_masks, generator, who)


def latents(generator: Any, who: Subjects) -> np.ndarray:
    """Stored latents [n, k]."""
    return in_batches(_latents, generator, who)


def measured(generator: Any, who: Subjects) -> dict[str, np.ndarray]:
    """Measurements from the pixels of subjects, or the values of other arrays, each [n]."""
    if not isinstance(getattr(generator, "plain", generator), RendersImages):
        return {f"{name} {i}": x for name, array in examples(generator, who).items() for i, x in enumerate(array.T)}

    def function(generator: Any, who: Subjects) -> dict[str, Array]:  # each part is compiled once for all its users
        return _measure_batch(generator, rendered(generator, who), _masks(generator, who))

    return in_batches(function, generator, who)


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
    """Number of compiled programs of a function."""
    return function._cache_size()


def same(a: Any, b: Any) -> bool:
    """Whether two trees of arrays hold the same bits."""
    one, other = jax.tree.leaves(a), jax.tree.leaves(b)
    return len(one) == len(other) and all(
        np.asarray(x).tobytes() == np.asarray(y).tobytes() for x, y in zip(one, other, strict=True)
    )
