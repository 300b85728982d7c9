"""What the repository says about itself agrees with what is in it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import biasprop
from tests.source_tree import ROOT, imports, modules

README = (ROOT / "README.md").read_text(encoding="utf-8")
CHANGELOG = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

DISTRIBUTION = {"PIL": "pillow", "dask": "distributed", "jaxlib": "jax", "pydantic_core": "pydantic"}
"""Import name -> the distribution that brings it, where they differ."""


def entries(heading: str) -> list[int]:
    """Numbers of the entries under every heading of that name in the changelog."""
    sections = re.split(r"^#{2,3} ", CHANGELOG, flags=re.MULTILINE)
    found = [section for section in sections if section.splitlines()[0].strip() == heading]
    return sorted(int(number) for section in found for number in re.findall(r"^(\d+)\. ", section, flags=re.MULTILINE))


def test_numerics_has_one_entry_for_every_number() -> None:
    assert entries("Numerics") == list(range(1, biasprop.NUMERICS + 1))


def test_versions_agree() -> None:
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert re.findall(r"^version: (.+)$", citation, flags=re.MULTILINE) == [biasprop.__version__]


def test_every_import_is_declared() -> None:
    declared = {re.split(r"[^A-Za-z0-9_-]", text)[0] for text in PROJECT["dependencies"]}
    optional = {"h5netcdf", "nibabel", "pyarrow", "pydicom"}
    wrong = {
        f"{file.relative_to(ROOT)}:{found.line}: {top}"
        for file in modules("biasprop").values()
        for found in imports(file)
        if (top := found.module.split(".")[0]) not in sys.stdlib_module_names | {"biasprop"} | optional
        and DISTRIBUTION.get(top, top) not in declared
    }
    assert not wrong, "\n".join(sorted(wrong))
    used = {found.module.split(".")[0] for file in modules("biasprop").values() for found in imports(file)}
    idle = declared - {DISTRIBUTION.get(top, top) for top in used}
    assert not idle, f"declared but not imported: {sorted(idle)}"


def test_the_readme_has_its_two_commands() -> None:
    """Each makes an environment, installs and runs, in one line; ``.ci/run`` runs the second one as it stands."""
    commands = re.findall(r"^python3 -m venv .*$", README, flags=re.MULTILINE)
    assert [("-m biasprop.run studies/" in line, "-m pytest" in line) for line in commands] == [
        (True, False),
        (False, True),
    ]


def test_paths_in_the_readme_exist() -> None:
    written = set(re.findall(r"`((?:biasprop|tests|studies|paper|\.ci)/[\w./-]*)`", README))
    written |= set(re.findall(r"\]\((?!http|#)([^)]+)\)", README))
    assert len(written) > 10
    made = ("paper/output", "results")
    missing = sorted(path for path in written if not (ROOT / path).exists() and not path.startswith(made))
    assert not missing, missing


def test_options_in_the_readme_exist() -> None:
    from biasprop.arguments import arguments

    known = {option for action in arguments()._actions for option in action.option_strings}
    written = {option for line in re.findall(r"biasprop\.run (.*)", README) for option in re.findall(r"(--\w+)", line)}
    assert written and written <= known, sorted(written - known)


def test_the_mix_ratio_of_the_readme_adds_a_level_and_moves_nothing(tmp_path: Path) -> None:
    from biasprop.study.load import load_study

    (line,) = re.findall(r"<!-- level -->\n```toml\n(.+)\n```", README)
    shipped = ROOT / "studies" / "skin_tone.toml"
    text = shipped.read_text(encoding="utf-8")
    longer = tmp_path / shipped.name
    longer.write_text(
        text.replace("[factors.pretraining]\nlevels = [\n", f"[factors.pretraining]\nlevels = [\n{line}\n")
    )
    old, new = load_study(shipped), load_study(longer)
    added = {level.label for level in new.levels("pretraining")} - {level.label for level in old.levels("pretraining")}
    assert added == {"dark 0.3"}
    assert new.digest == old.digest


def test_a_mix_is_ablated_by_count_with_the_levels_the_readme_shows(tmp_path: Path) -> None:
    from biasprop.study.load import load_study

    (lines,) = re.findall(r"<!-- levels -->\n```toml\n(.+?)\n```", README, re.DOTALL)
    text = (ROOT / "studies" / "skin_tone.toml").read_text(encoding="utf-8")
    longer = tmp_path / "skin_tone.toml"
    longer.write_text(
        text.replace("[factors.pretraining]\nlevels = [\n", f"[factors.pretraining]\nlevels = [\n{lines}\n")
    )
    study = load_study(longer)
    for level in study.levels("pretraining")[:3]:
        pretraining = study.with_levels({"pretraining": level}).pretraining
        assert pretraining.cohort * pretraining.shares["light"] == 18_000
        dark = round(pretraining.cohort * pretraining.shares["dark"])
        assert level.label == ("no dark" if dark == 0 else f"{dark:,} dark")


def test_the_committed_schema_is_current() -> None:
    from biasprop.study.schema import schema

    committed = ROOT / "biasprop" / "study" / "study.schema.json"
    assert json.loads(committed.read_text(encoding="utf-8")) == schema(), "run python -m biasprop.study.schema"


def test_the_wheel_holds_the_package_and_nothing_else(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=120)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == {"biasprop"}
    data = ("py.typed", "study/study.schema.json", "html/templates/page.html.jinja", "html/templates/style.css")
    assert {f"biasprop/{name}" for name in data} <= names
    assert any(name.endswith("licenses/LICENSE") for name in names)
