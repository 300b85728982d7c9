"""Where JAX cannot start, and where a user's cache folder cannot be used."""

from __future__ import annotations

from pathlib import Path

import jax
import pytest

from biasprop.component import InputError
from biasprop.hardware import device


@pytest.mark.parametrize(
    ("error", "why"),
    [(AssertionError(), "there is no such device"), (RuntimeError("Unable to\ninitialize"), "Unable to initialize")],
)
def test_a_platform_that_is_not_here_is_named(monkeypatch: pytest.MonkeyPatch, error: Exception, why: str) -> None:
    def devices() -> None:
        raise error

    monkeypatch.setattr(jax, "devices", devices)
    before = jax.config.values["jax_platforms"]  # pyright: ignore[reportAttributeAccessIssue]
    try:
        jax.config.update("jax_platforms", "cuda")
        with pytest.raises(InputError) as said:
            device.processes()
        assert said.value.problems == [f"JAX_PLATFORMS=cuda: JAX cannot start on it ({why}); unset it, or set cpu"]
        jax.config.update("jax_platforms", None)
        with pytest.raises(type(error)):  # not the user's choice, so a bug, with its traceback
            device.processes()
    finally:
        jax.config.update("jax_platforms", before)


def test_without_a_cache_folder_of_the_user_a_process_has_its_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(Path, "home", no_home)
    assert device.user_cache() == tmp_path and device.cache_folder().parent == tmp_path / "biasprop"
    monkeypatch.delenv("XDG_CACHE_HOME")
    own = device.user_cache()
    assert own.is_dir() and own == device.user_cache() and device.cache_folder().is_relative_to(own)
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert device.user_cache() == own
