"""The files of the digits, written once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.datasets import digits


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files of the digits."""
    made = tmp_path_factory.mktemp("digits")
    digits.write(made)
    return made
