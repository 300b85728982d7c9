"""Stores to test with."""

import shutil
from pathlib import Path

import pytest

from biasprop.store.store import Store
from tests.store import small


@pytest.fixture
def empty(tmp_path: Path) -> Store:
    """A store without any arm."""
    return Store.create_or_grow(tmp_path / "store", small.layout(), small.ATTRS)


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with every arm, to be copied."""
    store = Store.create_or_grow(tmp_path_factory.mktemp("filled") / "store", small.layout(), small.ATTRS)
    small.fill(store)
    return store.path


@pytest.fixture
def full(filled: Path, tmp_path: Path) -> Store:
    """A store with every arm."""
    shutil.copytree(filled, tmp_path / "store")
    return Store.open(tmp_path / "store")
