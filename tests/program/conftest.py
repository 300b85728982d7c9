"""Small chunks, so that small sets span several and the last is filled up."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from biasprop import subjects


@pytest.fixture(autouse=True, scope="module")
def small_chunks() -> Iterator[None]:
    """Render and encode 16 at a time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subjects, "CHUNK", 16)
        yield
