"""A record of the first 64 images of every generator: a hash per fingerprint, and a summary for other fingerprints.

    XLA_FLAGS=--xla_backend_optimization_level=0 python -m tests.generators.first_images

renders them here as the tests do, rewrites the record and says what moved. Hashes of other fingerprints are kept as
long as the images are the same within the tolerance.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

RECORD = Path(__file__).with_suffix(".json")

COUNT = 64

TOLERANCE = 1e-3
"""Largest difference of a mean or sd of an image, in [0, 1], between fingerprints: four times the rounding error of the
record, and a tenth of the effect of one grey level of 8 bits on an image of noise."""

DIGITS = 4


@dataclass(frozen=True)
class First:
    """The first images of one generator."""

    definition: str
    """Digest of the fields of its definition that differ from the defaults."""
    summary: dict[str, list[float]]
    """Mean and sd over all pixels of each image, and the mean image at 4 x 4 positions."""
    sha256: dict[str, str]
    """Fingerprint -> SHA-256 of the pixels' bytes, in order."""


def first(kind: str) -> First:
    """Render subjects of both subgroups in turn, healthy and diseased, with subgroups that differ in every lever."""
    import jax.numpy as jnp

    from tests.members import RENDER_BATCH, differing, images, subjects

    generator = differing(kind)
    who = subjects(RENDER_BATCH)
    who = who._replace(subgroup=jnp.arange(RENDER_BATCH, dtype=jnp.int32) // 2 % 2)
    pixels = np.asarray(images(generator, who))[:COUNT]
    step = pixels.shape[1] // 4
    places = pixels.mean(axis=(0, 3))[step // 2 :: step, step // 2 :: step]
    numbers = {"mean": pixels.mean(axis=(1, 2, 3)), "sd": pixels.std(axis=(1, 2, 3)), "places": places.ravel()}
    return First(
        _digest(json.dumps(generator.model_dump(mode="json", exclude_defaults=True), sort_keys=True).encode()),
        {name: np.round(values.astype(np.float64), DIGITS).tolist() for name, values in numbers.items()},
        {fingerprint(): _digest(np.ascontiguousarray(pixels).tobytes())},
    )


def fingerprint() -> str:
    """Everything the bits of a rendering depend on, apart from the definition."""
    from biasprop.hardware import device

    parts = device.fingerprint(1)
    return ", ".join(f"{name} {parts[name]}" for name in parts if parts[name] and name not in ("width",))


def recorded() -> dict[str, First]:
    """Kind -> recorded images."""
    return {kind: First(**entry) for kind, entry in json.loads(RECORD.read_text("utf-8")).items()}


def renew() -> None:
    """Update the record."""
    from tests.members import IMAGES

    old = recorded() if RECORD.exists() else {}
    updated: dict[str, Any] = {}
    for kind in IMAGES:
        now, before = first(kind), old.get(kind)
        near = before is not None and all(
            np.allclose(now.summary[name], values, rtol=0, atol=TOLERANCE) for name, values in before.summary.items()
        )
        valid = before.sha256 if before is not None and near else {}
        change = "new" if before is None else "changed" if not near else "the same within the tolerance"
        (mark, digest), *_ = now.sha256.items()
        bits = {None: "not on record", digest: "the same"}.get(valid.get(mark), "changed")
        print(f"{kind}: images {change}; bits of this fingerprint {bits}")
        updated[kind] = asdict(First(now.definition, now.summary, valid | now.sha256))
    text = json.dumps(updated, indent=1)
    RECORD.write_text(_joined(text) + "\n", "utf-8")


def _joined(text: str) -> str:
    """Put each list of numbers on one line."""
    import re

    return re.sub(r"\[[^\[\]]*\]", lambda match: re.sub(r"\s+", " ", match[0]), text)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


if __name__ == "__main__":
    os.environ.setdefault("NPROC", "1")
    renew()
