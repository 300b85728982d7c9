"""Studies of people of a table from their files to estimates."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from sklearn.metrics import roc_auc_score

from biasprop import load_study, run_study
from biasprop.component import InputError
from biasprop.datasets import datasets
from biasprop.generators.own_images import OwnImages
from biasprop.report import command_output
from biasprop.statistics.measures import measure
from biasprop.study import design
from biasprop.study.plan import plan
from tests.datasets import digits
from tests.source_tree import ROOT


@pytest.fixture(scope="module")
def cube(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> xr.Dataset:
    """A study of embeddings alone, with a linear probe of each mix, which embeddings do not depend on."""
    study = load_study(digits.study(folder, digits.EMBEDDINGS, "embeddings", "scratch"), replicates=1)
    return run_study(study, out=tmp_path_factory.mktemp("results"), workers=0).load()


def test_a_probe_of_embeddings_finds_the_target(cube: xr.Dataset) -> None:
    assert (cube["status"] == 1).all() and np.isfinite(cube["score"]).all()
    measures = measure(cube, 0.8)
    assert measures["auc"].sel(labels=32).mean() > 0.85
    assert measures["auc"].sel(labels=32).mean() > measures["auc"].sel(labels=16).mean()
    assert measures["separability"].mean() > 0.8, "small and large digits look different"
    score, label = (
        cube["score"].isel(pretraining=0, labels=0, replicate=0, draw=0),
        cube["label"].isel(pretraining=0, labels=0, replicate=0),
    )
    first = measures["auc"].isel(pretraining=0, labels=0, replicate=0, draw=0, subgroup=0)
    assert float(first) == pytest.approx(roc_auc_score(label, score.isel(subgroup=0)))


def test_what_needs_twins_is_undefined(cube: xr.Dataset) -> None:
    measures = measure(cube, 0.8)
    assert measures["flip_rate"].isnull().all() and measures["score_shift"].isnull().all()
    assert not measures["auc"].isnull().any()


def test_scores_say_whose_they_are(cube: xr.Dataset, folder: Path) -> None:
    people = datasets.of(load_study(digits.study(folder)).generator.digest).people
    arm = cube.isel(pretraining=0, labels=0, replicate=0)
    rows = arm["latents"].sel(latent="row").astype(int)
    for g in range(2):
        mine = rows.isel(subgroup=g).values
        assert len(set(mine.tolist())) == len(mine)
        assert (people.subgroup[mine] == g).all() and (people.label[mine] == arm["label"].values).all()


def test_plan_and_report_say_what_a_table_cannot(folder: Path, tmp_path: Path) -> None:
    study = load_study(digits.study(folder))
    text = "\n".join(plan(study, design.cells(study), tmp_path, resolution=False).lines())
    assert "no twins" in text.lower() and "evaluation: small" in text and "difficulty" not in text
    with pytest.raises(InputError, match="how hard its images are is not known"):
        command_output.difficulty_text(study, tmp_path / "none", as_json=False, report=print)


def test_contents_are_part_of_the_digest(folder: Path, tmp_path: Path) -> None:
    digits.write(tmp_path)
    one = load_study(digits.study(tmp_path))
    arrays = dict(np.load(tmp_path / "digits.npz"))
    arrays["images"][0, 0, 0] += 1
    np.savez(tmp_path / "digits.npz", **arrays)
    other = load_study(digits.study(tmp_path))
    assert one.generator.digest != other.generator.digest and one.digest != other.digest
    arrays["images"][0, 0, 0] -= 1
    np.savez(tmp_path / "digits.npz", **arrays)
    assert load_study(digits.study(tmp_path)).digest == one.digest
    with pytest.raises(InputError, match=r"digits.toml:\d+: generator.digest: is 1234, but the contents of .* have"):
        load_study(digits.study(tmp_path, more='digest = "1234"'))


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("pretraining.objective", "contrastive", "embeddings has no parameters to pretrain; use objective = scratch"),
        ("finetuning.protocol", "full", "full adapts the encoder, and embeddings has no parameters"),
        ("finetuning.protocol", "low_rank", "low_rank adapts the encoder, and embeddings has no parameters"),
    ],
)
def test_what_needs_gradients_of_a_published_model_is_refused(
    folder: Path, key: str, value: str, expected: str
) -> None:
    file = digits.study(folder, digits.EMBEDDINGS, "embeddings", "scratch")
    with pytest.raises(InputError, match=expected) as error:
        load_study(file, set=[f"{key}={value}"])
    assert len(error.value.problems) == 1


@pytest.mark.slow
def test_an_encoder_is_pretrained_on_the_images(folder: Path, tmp_path: Path) -> None:
    study = load_study(digits.study(folder))
    found = run_study(study, out=tmp_path, workers=0)
    assert (found["status"] == 1).all() and np.isfinite(found["score"]).all()
    assert measure(found.load(), 0.8)["auc"].mean() > 0.6
    assert not np.allclose(found["score"].isel(pretraining=0), found["score"].isel(pretraining=1))
    assert np.allclose(found["realised_share"].isel(labels=0, replicate=0), [[1, 0], [0, 1]])


README = ROOT / "biasprop" / "datasets" / "README.md"


def test_the_study_of_embeddings_in_the_readme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (text,) = re.findall(r"<!-- embeddings -->\n```toml\n(.+?)\n```", README.read_text(encoding="utf-8"), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    n = np.arange(2_000)
    cells = "\n".join(f"{i},{'female' if i // 2 % 2 else 'male'},{i // 4 % 2},p{i // 2}" for i in n)
    Path("people.csv").write_text(f"id,sex,finding,patient\n{cells}\n")
    np.savez("embeddings.npz", id=n, features=np.ones((len(n), 4), np.float32))
    Path("model.toml").write_text(text)
    study = load_study("model.toml")
    assert study.generator.spec["features"].shape == (4,) and study.generator.available[0].sum() == 0


def test_the_keys_that_the_readme_names_exist() -> None:
    keys = set(OwnImages.model_fields)
    text = README.read_text(encoding="utf-8")
    table = {name for line in re.findall(r"^\| (`.+?) \|", text, re.MULTILINE) for name in re.findall(r"`(\w+)`", line)}
    used = set(re.findall(r"`(\w+) = ", text.partition("## Public data sets")[2]))
    assert table and used and table | used <= keys | {"values"}, (table | used) - keys
    assert keys - {"kind", "digest", "shared", "order"} <= table, "a key is not in the README"
