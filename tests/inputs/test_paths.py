"""Paths that users give: home folders, pipes, byte order marks, outputs that cannot be written, long names."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from biasprop import arguments, command, draw, open_cube, page, show
from biasprop.component import InputError
from biasprop.paths import output_problems, user_path
from biasprop.store.store import Store
from biasprop.study import plan
from biasprop.study.design import cells
from biasprop.study.load import load_study
from tests.inputs.bad_studies import EXAMPLE
from tests.source_tree import ROOT
from tests.store import small

# Study files.


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_byte_order_mark_and_windows_line_ends_change_nothing(tmp_path: Path, mark: str, end: str) -> None:
    path = tmp_path / "study.toml"
    path.write_bytes((mark + EXAMPLE).replace("\n", end).encode())
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain" / "study.toml").write_text(EXAMPLE)
    study = load_study(path)
    assert study.digest == load_study(tmp_path / "plain" / "study.toml").digest and study.origin.text == EXAMPLE


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\xef\xbb\xbftitle = \n", ":1: this is not TOML: invalid value"),
        (b"\xef\xbb\xbf\r\ntitle = 3\r\n", ":2: title: is 3"),
        (b"\xef\xbb\xbf\r\na = '\xff'\r\n", ":2: byte 10 is not UTF-8"),
        ("title".encode("utf-16"), ":1: byte 0 is not UTF-8"),
    ],
)
def test_lines_behind_a_byte_order_mark_are_those_of_the_file(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "bad.toml").write_bytes(content)
    with pytest.raises(InputError) as raised:
        load_study(tmp_path / "bad.toml")
    assert any(f"bad.toml{said}" in problem for problem in raised.value.problems)


@pytest.mark.parametrize("named", [True, False], ids=["mkfifo", "<(command)"])
def test_a_study_is_read_from_a_pipe(tmp_path: Path, named: bool) -> None:
    read, written = (None, tmp_path / "study.toml") if named else os.pipe()
    if named:
        os.mkfifo(written)

    def write() -> None:
        with open(written, "w") as file:
            file.write(EXAMPLE)

    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    assert load_study(f"/dev/fd/{read}" if read else str(written)).title == "Skin tone in pretraining"
    writer.join(timeout=10)
    if read:
        os.close(read)


def test_what_a_descriptor_holds_is_read_from_where_it_is(tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text("no TOML\n" + EXAMPLE)
    with (tmp_path / "study.toml").open("rb", buffering=0) as file:
        file.read(len("no TOML\n"))
        assert load_study(f"/dev/fd/{file.fileno()}").title == "Skin tone in pretraining"


def test_a_store_name_that_is_too_long_is_one_line(tmp_path: Path) -> None:
    for length in (235, 242):
        (tmp_path / f"{'n' * length}.toml").write_text(EXAMPLE)
        name = load_study(tmp_path / f"{'n' * length}.toml").store(tmp_path).name
        assert len(name) == length + 13
        (tmp_path / name).mkdir()
    for stem in ("n" * 243, "\u00fc" * 122):
        (tmp_path / f"{stem}.toml").write_text(EXAMPLE)
        with pytest.raises(InputError, match=r"bytes longer than the 255 that .*; give the study file a shorter name"):
            load_study(tmp_path / f"{stem}.toml").store(tmp_path)


def test_a_plan_finds_the_other_stores_of_a_study_with_any_name(tmp_path: Path) -> None:
    (tmp_path / "a [b]*?.toml").write_text(EXAMPLE)
    study = load_study(tmp_path / "a [b]*?.toml")
    other = tmp_path / f"a [b]*?-{'0' * 12}"
    other.mkdir()
    assert plan.plan(study, cells(study), tmp_path, 1).others == (str(other),)


def test_a_store_that_is_a_loop_of_links_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    loop = tmp_path / "study-123456789012"
    loop.symlink_to(loop.name)
    for main, words in ((page.main, []), (draw.main, ["auc", "--x", "labels"])):
        assert main([str(loop), *words]) == command.BAD_INPUT
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(str(loop))


# Home folders and working directories.


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_the_home_folder_is_meant_by_a_tilde_everywhere(home: Path) -> None:
    (home / "study.toml").write_text(EXAMPLE)
    study = load_study("~/study.toml")
    assert study.store("~/out").parent == home / "out"
    store = Store.create_or_grow("~/store", small.layout(), small.ATTRS)
    assert store.path == home / "store"
    for path in ("~/store", Path("~/store"), "~/store/cube.zarr"):
        assert open_cube(path).sizes["replicate"] == 2
    given = arguments.arguments().parse_args(["~/study.toml", "--out=~/out", "--csv=~/x.csv", "--netcdf=~/x.nc"])
    assert (given.study, given.out) == (home / "study.toml", home / "out")
    assert (given.csv, given.netcdf) == (home / "x.csv", home / "x.nc")
    assert show.arguments().parse_args(["~/s", "--out=~/s.png"]).out == home / "s.png"
    assert draw.arguments().parse_args(["~/s", "auc", "--x", "a"]).store == home / "s"
    assert user_path("~no such user/x") == Path("~no such user/x")


def test_a_cube_is_read_after_a_change_of_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    store = Store.create_or_grow("store", small.layout(), small.ATTRS)
    small.write(store, *small.arms(store)[0])
    cube = open_cube("store")
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert int(cube.score.notnull().any(["draw", "subgroup", "subject"]).sum()) == 1
    small.write(store, *small.arms(store)[1])
    assert not list((tmp_path / "elsewhere").iterdir())
    cube = open_cube(store.path)
    store.path.rename(tmp_path / "moved")
    with pytest.raises(InputError, match="is damaged on disk"):
        cube.score.load()


# Outputs.


@pytest.fixture
def places(tmp_path: Path) -> Path:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "study.toml").touch()
    for link, target in (("ring", "ring"), ("nowhere", "no/where"), ("alias", "study.toml"), ("new", "folder/new")):
        (tmp_path / link).symlink_to(target)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("folder", "is a folder; has to be a file"),
        ("no/file", "there is no folder"),
        ("file/x", "there is no folder"),
        ("nowhere", "is a link into"),
        ("ring", "cannot be written (Too many levels of symbolic links)"),
        ("study.toml", "is read by this command, and would be overwritten"),
        ("alias", "is read by this command"),
        ("n" * 256, "the name has more than 255 bytes"),
        ("a\0b", "embedded null"),
        ("n" * 255, None),
        ("file", None),
        ("new", None),
    ],
)
def test_an_output_that_cannot_be_written_is_refused_at_once(places: Path, name: str, said: str | None) -> None:
    found = output_problems(places / name, [places / "study.toml"])
    assert found == [] if said is None else said in found[0]


def test_the_options_that_name_outputs_refuse_them(places: Path) -> None:
    study = str(places / "study.toml")
    given = arguments.arguments().parse_args([study, "--csv", study, "--netcdf", str(places / "ring")])
    assert [problem.split()[0] for problem in arguments.problems(given)] == ["--netcdf", "--csv"]
    same = arguments.arguments().parse_args([study, "--csv", str(places / "x"), "--netcdf", f"{places}/folder/../x"])
    assert arguments.problems(same) == [f"--csv {places / 'x'}: is also the file of --netcdf"]
    (places / "picture.png").mkdir()
    with pytest.raises(InputError, match=r"--out: .*picture\.png: is a folder"):
        show.show(ROOT / "tests" / "inputs" / "example.toml", places / "picture.png")


# The end of a command.


@pytest.fixture
def closed_stdout(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    read, written = os.pipe()
    os.close(read)
    with os.fdopen(written, "w") as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        yield


@pytest.mark.parametrize("lines", [1, 100_000])
def test_a_closed_pipe_ends_a_command_quietly(
    closed_stdout: None, lines: int, capfd: pytest.CaptureFixture[str]
) -> None:
    def main() -> int:
        print("line\n" * lines)
        return 0

    with pytest.raises(SystemExit) as left:
        command.start(lambda: command.explained(main))
    assert left.value.code == 0
    sys.stdout.flush()  # what Python does at its end finds nothing to complain about
    assert capfd.readouterr().err == ""


def test_a_full_disk_behind_a_redirection_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with open("/dev/full", "w") as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        with pytest.raises(SystemExit) as left:
            command.start(lambda: command.explained(lambda: bool(print("tables"))))
    assert left.value.code == 2
    assert capsys.readouterr().err == "standard output: No space left on device\n"


def test_a_bug_is_no_bad_input() -> None:
    def bug() -> int:
        raise FileNotFoundError(2, "No such file or directory", "missing.txt")

    with pytest.raises(FileNotFoundError):
        command.explained(bug)


def test_every_command_ends_the_same_way() -> None:
    files = [*(ROOT / "biasprop").rglob("*.py"), ROOT / "paper" / "make.py"]
    commands = {file: text for file in files if "def main(argv" in (text := file.read_text())}
    assert {file.stem for file in commands} >= {"run", "show", "draw", "make", "__main__"}
    for file, text in commands.items():
        assert "command.start(" in text and "command.explained(" in text, file
