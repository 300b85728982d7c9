"""Where the numbers of a store come from: study, versions, commit."""

from __future__ import annotations

import functools
import hashlib
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

from biasprop import NUMERICS, __version__
from biasprop.interfaces import has_people
from biasprop.statistics.groups import INDEPENDENT, SUBJECTS
from biasprop.study.study import Study

LIBRARIES = ("jax", "jaxlib", "flax", "optax", "numpy", "scipy", "xarray", "zarr", "pydantic")


def attributes(study: Study) -> dict[str, Any]:
    """The attributes of a study's store: text of the study file, overrides, versions, commit, estimands."""
    origin = study.origin
    return {
        "study": origin.text,
        "overrides": {"set": list(origin.set), "scale": origin.scale, "smoke": origin.smoke},
        "title": study.title,
        "question": study.question,
        "digest": study.digest,
        "numerics": NUMERICS,
        "versions": versions(),
        "commit": commit(),
        SUBJECTS: INDEPENDENT if has_people(study.generator) else None,
        "population": None if study.population is None else study.population.composition(),
        "estimands": [{"kind": e.kind} | e.model_dump(mode="json", exclude_defaults=True) for e in study.estimands],
    }


def versions() -> dict[str, str]:
    """Versions of this package and of the libraries that its numbers depend on."""
    found = {"biasprop": __version__}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


@functools.cache
def code() -> str:
    """Hash (16 hex digits) of this package's source; two checkouts of one version may compute differently."""
    root = Path(__file__).parents[1]
    digest = hashlib.blake2b(digest_size=8)
    for file in sorted(root.rglob("*.py")):
        digest.update(f"{file.relative_to(root).as_posix()}\0".encode() + file.read_bytes())
    return digest.hexdigest()


def commit() -> str | None:
    """The commit of the code, with ``-dirty`` if files have changed since; None outside a checkout."""
    here = str(Path(__file__).parent)
    try:
        # Installed inside another project's checkout, this file is not tracked, and that commit means nothing.
        _git(here, "ls-files", "--error-unmatch", __file__)
        return _git(here, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
    except (OSError, subprocess.SubprocessError):
        return None


def _git(folder: str, *words: str) -> str:
    done = subprocess.run(["git", "-C", folder, *words], capture_output=True, text=True, timeout=5, check=True)
    return done.stdout.strip()
