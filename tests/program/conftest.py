"""Small chunks, so that small sets span several chunks and the last is padded."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from biasprop.training import rendering


@pytest.fixture(autouse=True, scope="module")
def small_chunks() -> Iterator[None]:
    """Render and encode 16 at a time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rendering, "CHUNK", 16)
        yield
