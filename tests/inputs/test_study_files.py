"""Bad study files: every one is refused with the line, the key and what would be right, and never with a traceback."""

from __future__ import annotations

from pathlib import Path

import pytest

from biasprop.component import InputError
from biasprop.study.load import load_study
from tests.inputs import bad_estimands, bad_studies
from tests.inputs.bad_studies import EXAMPLE, changed

CASES = bad_studies.CASES | bad_estimands.CASES


def line_of(text: str, fragment: str) -> int:
    """Number of the first line that holds a fragment."""
    return text[: text.index(fragment)].count("\n") + 1


def problems(folder: Path, text: str | bytes, **options) -> list[str]:
    """What the loader says about a study file, without the folder."""
    path = folder / "bad.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError) as raised:
        load_study(path, **options)
    return [problem.replace(f"{folder}/", "") for problem in raised.value.problems]


@pytest.mark.parametrize("case", CASES)
def test_a_bad_study_is_refused_with_its_line_and_what_would_be_right(case: str, tmp_path: Path) -> None:
    old, new, where, said = CASES[case]
    text = changed(old, new)
    found = problems(tmp_path, text)
    hit = [problem for problem in found if all(part in problem for part in said[:1])]
    assert hit, found
    assert hit[0].startswith(f"bad.toml:{line_of(text, where)}: "), (hit, line_of(text, where))
    for part in said:
        assert part in hit[0]


def test_the_example_itself_is_good(tmp_path: Path) -> None:
    path = tmp_path / "good.toml"
    path.write_text(EXAMPLE)
    assert load_study(path).title == "Skin tone in pretraining"


def test_each_problem_of_an_estimand_is_a_line(tmp_path: Path) -> None:
    old = 'name = "everywhere"\nkind = "swap_contrast"'
    new = 'name = "everywhere"\nprimary = true\nsecondary = true\nbudget = "labels"\nkind = "halving_budget"'
    text = changed(old, new)
    start = f"bad.toml:{line_of(text, '[[estimands]]' + chr(10) + new[:19])}: estimands[1]: "
    said = ("cannot be primary and secondary at once", "a halving_budget has no verdict, so it cannot be primary")
    assert set(problems(tmp_path, text)) >= {f"{start}{what}" for what in said}


def test_all_problems_are_told_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = changed("seed = 2", "sead = 2")
    for old, new in (("size = 32", "size = 1"), ('"contrastive"', '"superwised"'), ("test = 2000", 'test = "all"')):
        text = text.replace(old, new, 1)
    text = text.replace("at = { labels = 200", "at = { labels = 222", 1)
    found = problems(tmp_path, text)
    keys = ["seed: is missing", "sead", "generator.size", "pretraining.objective", "evaluation.test", "at.labels"]
    assert len(found) == len(keys)
    for problem, key in zip(found, keys, strict=True):
        assert key in problem


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "generator: is missing"),
        (b'title = "\xff"\n', "bad.toml:1: byte 9 is not UTF-8"),
        (b'title = "a\nb"\n', "bad.toml:1: this is not TOML"),
        (b"b = 1\na = " + b"[" * 300 + b"]" * 300, "bad.toml:2: nested too deeply"),
        (b"b = '['\na = " + b"[" * 30_000 + b"]" * 30_000, "bad.toml:2: nested too deeply"),
        (b"#" * 2_000_000, "too large for a study file"),
        (b"a" + b".a" * 100_000 + b" = 1", "bad.toml:1: nested too deeply"),
        (b"b = 1\na = " + b"9" * 10_000, "bad.toml:2: a number has too many digits"),
        (b"a = [" + b"1," * 30_000 + b"]", "bad.toml:1: a: too many keys and values"),
        (b"a" * 300 + b" = 1", "a key has 300 characters"),
        (b"factors = [1]\nestimands = 3\nscale = true\n", "bad.toml:1: factors: is an array; has to be a table"),
    ],
)
def test_files_that_are_no_studies_at_all(content: bytes, said: str, tmp_path: Path) -> None:
    assert any(said in problem for problem in problems(tmp_path, content))


def test_files_that_are_not_there(tmp_path: Path) -> None:
    (tmp_path / "skin_tone.toml").write_text(EXAMPLE)
    with pytest.raises(InputError, match=r"no such file.*skin_tone\.toml"):
        load_study(tmp_path / "skintone.toml")
    with pytest.raises(InputError, match="not a file"):
        load_study(tmp_path)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("nonsense", "--set nonsense: has to be KEY=VALUE"),
        ("=3", "has to be KEY=VALUE"),
        ("a b=3", "'a b' is not a key"),
        ("encoder.patchh=4", "--set encoder.patchh=4: encoder.patchh: there is no such key"),
        ("pretraining.cohort=many", "--set pretraining.cohort=many: pretraining.cohort: is 'many'"),
        ("generator.size=33", "must divide the image size 33"),
        ("title.length=3", "--set title.length=3: title: is a table"),
        ("replicates=" + "9" * 5_000, "replicates: is '99999"),
        ("replicates=0x" + "F" * 5_000, "a number has too many digits"),
        ("a" + ".a" * 40 + "=1", "nested too deeply"),
        ("replicates.x=3", "--set replicates.x=3: replicates has the value 6, which has no keys"),
        ("estimands.7.margin=1", "estimands is an array of 3"),
        ("estimands.0.margin=-1", "--set estimands.0.margin=-1: estimands[0].margin: is -1"),
        ("finetuning.labels=5", "has no effect, because every level of the factor labels sets finetuning.labels"),
    ],
)
def test_bad_overrides_name_the_option(override: str, said: str, tmp_path: Path) -> None:
    assert any(said in problem for problem in problems(tmp_path, EXAMPLE, set=[override]))


@pytest.mark.parametrize(
    "front", ["pretraining.cohort=", "replicates.x=", "x", "finetuning.labels=", "generator.size="]
)
def test_long_values_of_options_are_shortened(front: str, tmp_path: Path) -> None:
    for value in ("[" + "1, " * 3_000 + "]", "'" + "x" * 5_000 + "'"):
        found = problems(tmp_path, EXAMPLE, set=[front + value])
        assert found and all(f"--set {front}" in one and len(one) < 500 for one in found), found


def test_bad_options_name_the_option(tmp_path: Path) -> None:
    (found,) = problems(tmp_path, EXAMPLE, scale="papr")
    assert found == "--scale papr: bad.toml has no table [scale.papr]; allowed: paper; did you mean paper?"
    (found,) = problems(tmp_path, EXAMPLE, replicates=0)
    assert found.startswith("--replicates 0: ")


def test_a_problem_under_a_chosen_scale_stands_at_the_scale(tmp_path: Path) -> None:
    text = changed("cohort = 100000", "cohortt = 100000")
    (found,) = problems(tmp_path, text, scale="paper")
    assert found.startswith(f"bad.toml:{line_of(text, 'cohortt')}: pretraining.cohortt: there is no such key")


def test_levels_that_do_not_go_together_are_refused(tmp_path: Path) -> None:
    extra = '[factors.size]\nkey = "generator.size"\nlevels = [32, 24]\n'
    extra += '[factors.patch]\nkey = "encoder.patch"\nlevels = [8, 16]\n[[estimands]]'
    text = changed("[[estimands]]", extra).replace('"full" }', '"full", size = 32, patch = 8 }', 1)
    found = problems(tmp_path, text)
    assert any("size = 24" in problem and "patch = 16" in problem for problem in found)
    assert not any("patch = 8" in problem for problem in found)


def test_a_marker_has_no_place_among_mirror_images() -> None:
    study = Path(__file__).parents[2] / "studies" / "mirror_null.toml"
    name = next(iter(load_study(study).subgroups))
    with pytest.raises(InputError, match=f"finetuning.shifts.{name}: adds a marker .* not symmetric"):
        load_study(study, set=[f"finetuning.shifts.{name}=shortcut"])
    load_study(study, set=[f"finetuning.shifts.{name}=underdiagnosis"])
