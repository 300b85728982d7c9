"""The whole pipeline, mirrored, gives the mirrored answer: no seed noise, so that any asymmetry of it shows.

The same subjects are rendered as they are and mirrored left to right. The mirrored run starts from mirrored parameters
and is augmented by mirrored views, so every activation is the other run's and the scores agree up to float error.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from biasprop.encoders import ENCODERS
from biasprop.generators import GENERATORS
from biasprop.nn.views import Augmentation
from biasprop.objectives import OBJECTIVES
from biasprop.protocols import PROTOCOLS
from biasprop.study.load import remake
from biasprop.study.study import Origin, Study
from biasprop.training.adapt import Finetuner
from tests.members import batch, condition, member, one_of_each
from tests.program.small_experiment import finetuner, finetuning, pretrain, quiet, scorer
from tests.source_tree import ROOT

CHANGES_NO_SIDE = {"flip": 0.0, "transpose": 0.0}
"""A flip would make the mirror images one population, a transpose would turn left-right into up-down."""


class MirroredView(Augmentation):
    """The view of a mirrored image that is the mirror image of the original's view: translations change their sign."""

    def view(self, key: Any, image: Any) -> Any:
        """One view."""
        return super().view(key, image[:, ::-1])[:, ::-1]


class MirroredVit(ENCODERS["vit"]):  # pyright: ignore[reportGeneralTypeIssues]
    """Starts from parameters under which a mirrored image has the tokens of the original in mirrored places."""

    def init(self, key: Any, shape: tuple[int, int, int]) -> Any:
        """Patch embedding and positions mirrored, all else as it is."""
        return in_mirrored_places(super().init(key, shape), shape, self.patch)


def in_mirrored_places(params: Any, shape: tuple[int, int, int], patch: int) -> Any:
    """Parameters of a transformer that make of a mirrored image what these make of the image."""
    side, channels = shape[0] // patch, shape[2]
    kernel = params["embed"]["kernel"].reshape(patch, patch, channels, -1)[:, ::-1]
    positions = params["positions"].reshape(side, side, -1)[:, ::-1]
    embed = params["embed"] | {"kernel": kernel.reshape(params["embed"]["kernel"].shape)}
    return params | {"embed": embed, "positions": positions.reshape(params["positions"].shape)}


def mirrored(kind: str) -> Any:
    """A generator whose every image is the mirror image of what the original renders."""

    class Mirrored(GENERATORS[kind]):  # pyright: ignore[reportGeneralTypeIssues]
        def render(self, subject: Any) -> Any:
            """The image, left and right exchanged."""
            return super().render(subject)[:, ::-1]

    return Mirrored


@pytest.fixture(scope="module")
def tuners() -> list[tuple[Finetuner, Augmentation]]:
    """After skewed pretraining on the original images, on mirrored ones from mirrored parameters, and on mirrored ones
    from parameters that are not; each with views as it was pretrained on."""
    assert OBJECTIVES["contrastive"].model_fields["augmentation"].annotation is Augmentation
    original = member("generators", "dermoscopy", subgroups={"a": "light", "b": "dark"})
    mirror = mirrored("dermoscopy")(**dict(original))
    made = []
    for generator, encoder, view in (
        (original, ENCODERS["vit"], Augmentation),
        (mirror, MirroredVit, MirroredView),
        (mirror, ENCODERS["vit"], MirroredView),
    ):
        augmentation = view(**CHANGES_NO_SIDE)
        objective = member("objectives", "contrastive").model_copy(update={"augmentation": augmentation})
        own = encoder(**dict(member("encoders", "vit")))
        told = condition(objective, (0.9, 0.1), generator=generator, encoder=own, steps=12, learning_rate=1e-3)
        cell = batch((told, 0))
        made.append((finetuner(cell, pretrain(cell)), augmentation))
    return made


def scores(tuner: Finetuner, augmentation: Augmentation, kind: str) -> np.ndarray:
    """Test scores of a protocol: [subgroup, subject]."""
    arm = finetuning(kind)
    if arm.protocol.adapts_encoder:
        recipe = arm.protocol.pretrained.model_copy(update={"augmentation": augmentation})
        protocol = arm.protocol.model_copy(update={"pretrained": recipe})
        arm = arm.model_copy(update={"protocol": protocol})
    return scorer(tuner).score(tuner.adapt(arm, 0, quiet)).test[0]


@pytest.mark.parametrize("kind", one_of_each(PROTOCOLS, lambda cls: cls.adapts_encoder))
def test_mirrored_images_and_parameters_give_the_same_scores(
    kind: str, tuners: list[tuple[Finetuner, Augmentation]]
) -> None:
    here, there, elsewhere = (scores(*tuner, kind) for tuner in tuners)
    scale = here.std()
    assert np.abs(there - here).max() < 0.01 * scale, "something in the pipeline tells left from right"
    assert np.abs(elsewhere - here).max() > 0.1 * scale, "parameters make no difference, so this test is none"


def test_a_mirrored_view_is_a_view_with_the_translation_turned_round() -> None:
    """Nothing else changes sign: zoom, gain and offset are those of the original."""
    from biasprop import keys

    key, image = keys.replicate(1, 0), jnp.asarray(np.random.default_rng(3).random((8, 8, 3)))
    still = CHANGES_NO_SIDE | {"shift": 0.0}
    symmetric = image + image[:, ::-1]
    assert np.allclose(
        MirroredView(**still).view(key, symmetric), Augmentation(**still).view(key, symmetric), atol=1e-6
    )
    moved = [np.asarray(kind(**CHANGES_NO_SIDE).view(key, symmetric)) for kind in (MirroredView, Augmentation)]
    assert np.allclose(moved[0], moved[1][:, ::-1], atol=1e-6) and not np.allclose(*moved, atol=1e-2)


@pytest.mark.slow
@pytest.mark.timeout(1_800)
def test_a_study_of_mirror_images_and_its_conjugate_have_one_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shipped null, small, from its file to its estimates; and the same with the subgroups' names exchanged and
    every image mirrored, from mirrored parameters and on mirrored views: what the first says of one subgroup the other
    says of the other, arm by arm, up to rounding and what 50 steps of training make of it."""
    from biasprop import run_study
    from biasprop.statistics.estimate import estimates
    from biasprop.statistics.measures import measure

    def answer(study: Study, name: str, **how: Any) -> tuple[np.ndarray, np.ndarray]:
        """Scores of all twins, and all estimates with their intervals."""
        jax.clear_caches()  # programs are known by their classes' names, not by what was put into them
        cube = run_study(study, out=tmp_path / name, workers=0, **how)
        found = estimates(measure(cube, study.evaluation.target_specificity), study.estimands)
        return cube["score"].values, np.array([(one.value, one.low, one.high) for one in found])

    text = (ROOT / "studies" / "mirror_null.toml").read_text()
    exchanged = text.replace("falling", "?").replace("rising", "falling").replace("?", "rising")
    here, estimated = answer(remake(Origin(text=text, smoke=True)), "here")
    conjugate = remake(Origin(text=exchanged, smoke=True))
    assert list(conjugate.subgroups) == ["rising", "falling"]
    # The shipped classes themselves are changed: what validates a study has taken them from their tables long ago.
    skin, vit = GENERATORS["dermoscopy"], ENCODERS["vit"]
    render, view, init = skin.render, Augmentation.view, vit.init
    monkeypatch.setattr(skin, "render", lambda self, subject: render(self, subject)[:, ::-1])
    monkeypatch.setattr(Augmentation, "view", lambda self, key, image: view(self, key, image[:, ::-1])[:, ::-1])
    elsewhere, _ = answer(conjugate, "elsewhere", only=["pretraining=falling 0", "flips=0.0"])
    monkeypatch.setattr(
        vit, "init", lambda self, key, shape: in_mirrored_places(init(self, key, shape), shape, self.patch)
    )
    there, other = answer(conjugate, "there")

    scale = np.nanstd(here)
    assert np.isfinite(here).any() and here.shape == there.shape
    assert np.nanmax(np.abs(there - here)) < 0.05 * scale, "something in the pipeline tells left from right"
    assert np.allclose(estimated, other, atol=0.02, equal_nan=True) and np.isfinite(estimated).any()
    assert np.nanmax(np.abs(elsewhere - here)) > 0.2 * scale, "parameters make no difference, so this test is none"
