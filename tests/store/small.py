"""A small store and deterministic arms to put into it; used in this process and, by path, in others."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from biasprop.store.layout import Factor, Layout
from biasprop.store.store import Store
from biasprop.store.variables import VARIABLES
from tests.arm_data import random_data

MIXES = ("all light", "50/50", "scratch")
ATTRS = {
    "study": 'title = "Small"\n',
    "digest": "0123456789abcdef",
    "numerics": 1,
    "versions": {"jax": "0.10.2"},
    "commit": None,
    "title": "Small",
    "question": "Is it stored?",
    "estimands": [{"name": "swap contrast", "margin": 0.1}],
}


def layout(mixes=MIXES, labels=(50, 200), replicates=2) -> Layout:
    """Two factors, two replicates; ``share`` and ``objective`` follow the mix."""
    share = {"all light": [1.0, 0.0], "50/50": [0.5, 0.5], "all dark": [0.0, 1.0]}
    return Layout(
        factors=(
            Factor("pretraining", tuple((mix, f'{{"mix": "{mix}"}}') for mix in mixes)),
            Factor("labels", tuple((count, str(count)) for count in labels)),
        ),
        replicates=replicates,
        draws=3,
        subgroups=("light", "dark"),
        latents=("ita", "severity"),
        test=40,
        selection=20,
        calibration=30,
        coords={
            "share": (("pretraining", "subgroup"), [share.get(mix, [float("nan")] * 2) for mix in mixes]),
            "objective": (("pretraining",), ["scratch" if mix == "scratch" else "contrastive" for mix in mixes]),
        },
    )


def data(arm, replicate, draws=3, selection=20) -> dict[str, np.ndarray]:
    """An arm's data as a function of its levels and replicate alone."""
    seed = sum(map(ord, f"{arm['pretraining']}|{arm['labels']}|{replicate}"))
    random = np.random.default_rng(seed)
    sizes = layout().sizes | {"draw": draws, "selection": selection}
    return random_data(sizes, random)


def write(store: Store, arm, replicate: int) -> None:
    """Store an arm as a worker does."""
    store.write(arm, replicate, data(arm, replicate), [1, 1, 1], 1.0, {"device": "cpu", "threads": 1})


def arms(store: Store):
    """(arm, replicate) of every place in the store."""
    return [store.layout.arm(index) for index in np.ndindex(*store.layout.shape)]


def fill(store: Store) -> None:
    """Write every arm."""
    for arm, replicate in arms(store):
        write(store, arm, replicate)


def chunk(store: Store, name: str, arm, replicate: int) -> Path:
    """The file of one variable of an arm."""
    place = [*store.index(arm, replicate), *(0 for _ in VARIABLES[name].dims)]
    return store.path.joinpath("cube.zarr", name, "c", *map(str, place))


def files(path: Path) -> dict[str, bytes]:
    """Every chunk file's bytes, coordinates included."""
    group = path / "cube.zarr"
    found = (file for file in sorted(group.rglob("*")) if file.is_file() and file.name != "zarr.json")
    return {str(file.relative_to(group)): file.read_bytes() for file in found}


def rewrite_root(path: Path, change: Callable[[dict[str, Any], dict[str, Any]], None]) -> None:
    """Change the group's metadata as a forger would: whole, and without the copy that would show it.

    Args:
        path: the store.
        change: is given the document and the store's own attribute in it, to be changed in place.
    """
    file = path / "cube.zarr" / "zarr.json"
    document = json.loads(file.read_text())
    own = json.loads(document["attributes"]["biasprop"])
    change(document, own)
    document["attributes"]["biasprop"] = json.dumps(own)
    file.write_text(json.dumps(document))
    (path / "metadata.json").unlink(missing_ok=True)


def work(path: str, first: int, step: int) -> None:
    """A worker: write the arms ``first``, ``first + step``, ... that are open, logging each."""
    store = Store.open(path)
    status = store.status()
    for arm, replicate in arms(store)[first::step]:
        if not status[store.index(arm, replicate)].any():
            write(store, arm, replicate)
            store.log({"event": "arm", "arm": arm, "replicate": replicate})
    print("done", flush=True)


if __name__ == "__main__":
    work(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
