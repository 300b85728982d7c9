"""Generators with the people of their tables, in the order of a replicate."""

from __future__ import annotations

import functools
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Key

from biasprop import keys
from biasprop.component import replace_nested
from biasprop.difficulty import InMode
from biasprop.interfaces import has_people
from biasprop.keys import Stream
from biasprop.study.conditions import PretrainingCondition


def with_people(condition: PretrainingCondition, replicate: Key[Array, ""]) -> PretrainingCondition:
    """A condition whose generators have the arrays of their tables, the order in which people are taken, and an image
    of each.

    Generators that simulate their subjects stay as they are.

    Args:
        condition: of a cell.
        replicate: key of its replicate, which decides order and images.
    """

    def loaded(generator: Any) -> Any:
        if not has_people(generator):
            return generator
        order = _permutation(keys.stream(replicate, Stream.PEOPLE), int(generator.available.sum()))
        images = _permutation(keys.stream(replicate, Stream.IMAGES_OF_PEOPLE), generator.rows)
        plain = generator.plain.with_people(np.asarray(order, np.int32), np.asarray(images, np.int32))
        return generator.model_copy(update={name: getattr(plain, name) for name in type(plain).model_fields})

    return replace_nested(condition, (InMode,), loaded)


@functools.partial(jax.jit, static_argnums=1)
def _permutation(key: Key[Array, ""], n: int) -> Array:
    return jax.random.permutation(key, n)
