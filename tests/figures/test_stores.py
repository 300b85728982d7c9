"""Which stores are taken, and what is read of where their numbers come from."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import xarray as xr

from biasprop.component import InputError
from biasprop.store.store import Store
from biasprop.store.view import open_cube
from paper import stores
from tests.store import small


@pytest.mark.parametrize("encoded", [False, True])
@pytest.mark.parametrize("metadata", stores.METADATA)
def test_the_newest_store_of_each_study_counts(
    metadata: str, encoded: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    overrides = {"a-0000": {"smoke": True}, "a-0001": {"set": ["seed=2"]}, "b-3333": {"scale": "paper"}}
    kept = {name: json.dumps(value) if encoded else value for name, value in overrides.items()}
    monkeypatch.setattr(
        "biasprop.store.view.open_cube",
        lambda path: xr.Dataset(attrs={"overrides": kept.get(path.name, {})}),
        raising=False,
    )
    for age, name in enumerate(("a-0000", "a-0001", "a-1111", "a-2222", "b-3333")):
        file = tmp_path / name / metadata
        file.parent.mkdir(parents=True)
        file.write_text("{}")
        os.utime(file, (1_000 - age, 1_000 - age))
    (tmp_path / "encoders").mkdir()
    assert [store.name for store in stores.newest(tmp_path)] == ["a-1111", "b-3333"]
    assert [store.name for store in stores.newest(tmp_path, "a-2222")] == ["a-2222"]
    assert [store.name for store in stores.newest(tmp_path, "a-0000")] == ["a-0000"]
    with pytest.raises(InputError, match="no store of 'c'"):
        stores.newest(tmp_path, "c")


def test_provenance_of_a_store(tmp_path: Path) -> None:
    store = Store.create_or_grow(tmp_path / "small-0123", small.layout(), small.ATTRS)
    small.fill(store)
    found = stores.provenance(store.path, open_cube(store.path))
    assert found.date is None and found.fingerprints == {"cpu, 1 thread": 12}
    assert found.minutes == {"arms": 12 / 60}
    store.log({"event": "arm", "arm": "x", "status": "ok"})
    store.log({"event": "cells", "cells": ["x"], "seconds": {"pretrain": 90.0, "adapt": 30.0}})
    store.log({"event": "cells", "cells": ["y"], "seconds": {"pretrain": 30.0}})
    found = stores.provenance(store.path, open_cube(store.path))
    assert found.minutes == {"pretrain": 2.0, "adapt": 0.5}
    assert found.date is not None and len(found.date) == len("2000-01-01")


def test_fingerprints_in_words_name_no_folder() -> None:
    fingerprint = {
        "jax": "0.10.2",
        "jaxlib": "0.10.2",
        "device": "cpu",
        "instructions": "x86_64 avx avx2",
        "threads": "2",
        "precision": "default",
        "width": 1,
        "flags": "--xla_dump_to=/home/someone/dump --xla_cpu_enable_fast_math=false",
    }
    words = stores.in_words(fingerprint)
    assert words == (
        "jax 0.10.2, jaxlib 0.10.2, cpu, x86_64 avx avx2, 2 threads, default precision, 1 cell per batch and device, "
        "XLA flags --xla_cpu_enable_fast_math=false"
    )
    assert stores.in_words({}) == "not recorded"
