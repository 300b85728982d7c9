"""Names are data: whatever markup they look like, every output shows them as they are, and none costs a result."""

from __future__ import annotations

import io
import json
import re
import string
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from markdown_it import MarkdownIt
from rich.cells import cell_len

from biasprop import terminal
from biasprop.component import InputError
from biasprop.execution.progress import Bars
from biasprop.population.attributes import Population
from biasprop.report import figures, plotting, tables, tidy_table
from biasprop.report.answer import BRIEF_LINES, answer, brief
from biasprop.report.figures import FIGURES
from biasprop.statistics.measures import measure
from biasprop.statistics.summary import Summary, summary_of
from biasprop.store.store import Store
from biasprop.store.view import open_cube
from biasprop.study import design
from biasprop.study.checks.fields import value_problems
from biasprop.study.checks.population import population_problems
from biasprop.study.load import load_study
from biasprop.study.location import dotted, parse_key
from biasprop.study.study import Study
from paper import numbers, pages, stores, study_result
from tests.arm_data import random_data
from tests.source_tree import ROOT
from tests.store import small
from tests.synthetic import synthetic_cube

STUDY = Path(__file__).parents[1] / "figures" / "study.toml"
VISIBLE = [chr(i) for i in range(33, 127)]
ASCII = [*VISIBLE, *(2 * c for c in VISIBLE if c != "_")]
"""Every visible character of ASCII, alone and doubled; a doubled underscore looks like a single one in figures."""
WORDS = (
    *("[/b]", "[old]", "[link=x]y[/link]", ":smile:", "\\[x]"),
    *("$x^2$", "$\\frac$", "\\alpha", "a$b", "_hidden", "{x}", "%s", "{task.name}"),
    *("a|b", "<b>bold</b>", "<!-- x", "&lt;", "`x`", "**x**", "[x](y)", "![x](y)", "[x]: y", "~~x~~", "- x", "1. x"),
    *("NA", "null", "nan", "None", "true", "1", "1.0", "inf", "=1+1", "+1", "-1", "@x", '"', "'", 'a,"b"', "a;b"),
    *("日本", "中国", "ζ", "שלום", "مرحبا", "می\u200cخواهم", "🙂", "👩🏽\u200d⚕️", "é", "x" * 200, "x y " * 49 + "z"),  # noqa: RUF001
)
NASTY = [*ASCII, *(word for word in WORDS if word not in ASCII)]
RENAMED = {
    "light": "[/b] $x$ $\\frac$",
    "dark": "日本 |<b>_^\\",
    "all light": "mix [old]",
    "all dark": "mix [new]",
    "50/50": "=1 $y$ `*",
    "scratch": "_none {0} &lt;",
    "swap contrast": "NA",
    "retention": "nan \\$z ] %",
    "halving budget": "x" * 60,
}
"""Names of the study of the figures -> what they are called here."""


def renamed(name: Any) -> Any:
    return RENAMED.get(name, name)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    text = STUDY.read_text(encoding="utf-8")
    text = text.replace('= "light"', '= "LIGHT"').replace('= "dark"', '= "DARK"')  # presets
    text = text.replace('kind = "retention"', 'kind = "RETENTION"').replace('" = "scratch"', '" = "SCRATCH"')
    for old, new in RENAMED.items():
        quoted = json.dumps(new, ensure_ascii=False)
        text = text.replace(f'"{old}"', quoted).replace(f"{{ {old} = ", f"{{ {quoted} = ")
        text = text.replace(f", {old} = ", f", {quoted} = ")
    text = re.sub('"(LIGHT|DARK|RETENTION|SCRATCH)"', lambda found: found[0].lower(), text)
    file = tmp_path_factory.mktemp("study") / "study.toml"
    file.write_text(text, encoding="utf-8")
    return load_study(file)


@pytest.fixture(scope="module")
def cube() -> xr.Dataset:
    cube = synthetic_cube(replicates=3, subjects=80, selection=8, calibration=60)
    cube = cube.assign_coords({name: [*map(renamed, cube[name].values)] for name in ("pretraining", "subgroup")})
    cube.attrs |= {"title": "# T | <b>$", "question": "- what\n# is it?", "overrides": {}, "versions": {}}
    return cube


@pytest.fixture(scope="module")
def summary(cube: xr.Dataset, study: Study) -> Summary:
    return summary_of(measure(cube, 0.8), study.estimands)


# At load.


def test_every_visible_character_may_stand_in_a_name() -> None:
    assert not value_problems({"levels": [{"name": name} for name in NASTY if name != "_"]})
    pairs = [a + b for a in VISIBLE for b in VISIBLE]
    assert not [problem for pair in pairs for problem in value_problems(pair, ("name",))]
    assert not value_problems({"question": "a\n\tb\u00a0c"})


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("a\nb", r"control character '\n'"),
        ("a\tb", r"control character '\t'"),
        ("a\x1b[2Jb", r"control character '\x1b'"),
        ("a\x00b", r"control character '\x00'"),
        ("a\u202eb", r"control character '\u202e'"),
        ("a\u200bb", r"control character '\u200b'"),
        ("a\u2028b", r"control character '\u2028'"),
        ("a\u00a0b", "(no-break space)"),
        (" a", "starts or ends with a space"),
        ("a ", "starts or ends with a space"),
        ("a" * 201, "at most 200"),
        ("all_dark", "'all dark' looks like 'all_dark'"),
    ],
)
@pytest.mark.parametrize("at", ["all light"])
def test_what_no_output_could_show_is_refused_with_file_line_and_key(
    name: str, what: str, at: str, tmp_path: Path
) -> None:
    text = STUDY.read_text(encoding="utf-8").replace(f'"{at}", set', f"{toml(name)}, set", 1)
    line = text[: text.index("levels = [")].count("\n") + 2
    (tmp_path / "study.toml").write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as refused:
        load_study(tmp_path / "study.toml")
    told = [problem for problem in refused.value.problems if what in problem]
    assert told and re.search(rf"study\.toml:({line}|{line + 2}): factors\.pretraining\.levels\[", told[0])
    assert all(problem.isprintable() for problem in refused.value.problems)


def toml(text: str) -> str:
    return json.dumps(text).replace("\x7f", "\\u007f")


def test_keys_are_names_too() -> None:
    assert value_problems({" light": 1}) and value_problems({"a\nb": 1}) and value_problems({"a_b": 1, "a b": 1})
    assert value_problems({"caf\u00e9": 1, "cafe\u0301": 1}), "one letter or two characters"


# On a terminal.


def table_of(names: list[str]) -> Any:
    table = tables.empty_table(" ".join(names[:60]))
    table.add_column("name", overflow="fold")
    for i, name in enumerate(names[:8]):
        table.add_column(tables.heading(f"AUC {name}\n{i}"), justify="right", no_wrap=True)
    for name in names:
        table.add_row(name, *["0.123 [0.100, 0.200]"] * 8)
    return table


@pytest.mark.parametrize("colour", [False, True])
def test_tables_show_every_name_once(colour: bool) -> None:
    table = table_of(NASTY)
    if colour:
        file = io.StringIO()
        terminal.console(file=file, force_terminal=True, color_system="truecolor", width=900).print(table)
        shown = re.sub(r"\x1b\[[0-9;]*m", "", file.getvalue())
    else:
        shown = tables.text([table], 900)
    rows = [line.partition("0.123")[0].strip() for line in shown.splitlines() if "0.123" in line]
    assert rows == [name.replace("\t", " ") for name in NASTY]
    assert all(c in shown.split("name")[0] for c in VISIBLE[:20])


def test_long_names_cost_no_number() -> None:
    long = ["x" * 200, "[" * 150, "日" * 90]
    shown = tables.text([table_of(long)], 60)
    assert shown.count("0.123 [0.100, 0.200]") == 8 * len(long) and "…" not in shown
    assert shown.count("x") >= 2 * 200 and shown.count("日") >= 2 * 90  # title, heading or cell


def test_tables_and_answer_show_the_names(summary: Summary, study: Study) -> None:
    shown = tables.text(tables.tables(summary), 240) + answer(summary, study).text()
    for name in ("mix [old]", "mix [new]", "[/b] $x", "日本 |<b>_^\\", "_none {0} &lt;", "nan \\$z ] %", "=1 $y$ `*"):
        assert name in shown, name
    assert shown.count("mix [old]") > 6
    short = brief(summary, study, 100)
    assert short.count("\n") <= BRIEF_LINES and "日本 |<b>_^\\" in short


def test_progress_bars_show_the_names() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    bars = Bars(stream)
    bars.bars.console.width = 600
    bars.start(3, 0)
    for name in ("mix [old]", "[/b]", ":smile: $x"):
        bars.cell(name, "pretrain [/i]", 1, 2)
        bars.say(f"say {name}")
        bars.arm(f"arm {name}", 3, 1.0)
    bars.finish()
    shown = stream.getvalue()
    for name in ("mix [old]", "[/b]", ":smile: $x"):
        assert f"say {name}" in shown and f"failed: arm {name}" in shown and f"  {name}" in shown
    assert "pretrain [/i]" in shown


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_every_terminal_can_print_every_name(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Different names stay different; the rules of tables are not lost."""
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding=encoding, errors="strict"))
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(written, encoding=encoding, errors="strict"))
    terminal.configure()
    shown = tables.text([table_of(["日本", "中国", "é"])], 200)
    print(shown, "\udcff", flush=True)
    print("日本", file=sys.stderr, flush=True)
    text = written.getvalue().decode(encoding)
    assert "----" in text and text.count("日本" if encoding == "utf-8" else "\\u65e5\\u672c") >= 3
    assert "\\udcff" in text
    monkeypatch.undo()


def test_text_of_a_foreign_cache_does_not_steer_the_terminal() -> None:
    assert terminal.printable("a\x1b[2J\n日本 \u200d\u202e", keep="\n") == "a\\x1b[2J\n日本 \u200d\\u202e"


# In figures.

NEED_MORE = ("contact_sheet", "contrast_by_level", "injected_skew", "stability")
"""Figures of what the study here has not, or that need no scores."""


@pytest.mark.parametrize("name", [name for name in FIGURES if name not in NEED_MORE])
def test_figures_draw_names_as_they_are(
    name: str, cube: xr.Dataset, summary: Summary, study: Study, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    own = cube.sel(labels=[200]) if name == "test_mix" else cube
    figure = FIGURES[name](own, summary.estimates, study)
    plotting.save(figure, tmp_path / name, ["png"])
    assert not [warning for warning in recwarn if "Glyph" in str(warning.message)]
    texts = " ".join(text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text")))
    assert name == "skew_against_auc" or any(plotting.plain(new) in texts for new in RENAMED.values())
    assert ("日" in plotting.without_glyph(figure)) == ("日" in texts)


def test_every_character_can_be_drawn(tmp_path: Path) -> None:
    with plotting.style():
        figure = plotting.page(plotting.DOUBLE, 7)
        axes = figure.subplots()
        axes.set_yticks(range(len(NASTY)), [plotting.plain(name) for name in NASTY], fontsize=1)
        axes.set_title(" ".join(map(plotting.plain, NASTY[:40])))
    files = plotting.save(figure, tmp_path / "all")
    assert len(files) == 3
    assert [label.get_text() for label in axes.get_yticklabels()] == [plotting.plain(name) for name in NASTY]
    lacking = plotting.without_glyph(figure)
    assert "日" in lacking and not set(lacking) & {*VISIBLE, "é", "ζ", "ש"}


def test_a_figure_that_fails_costs_no_other(cube: xr.Dataset, study: Study, tmp_path: Path) -> None:
    def broken(*_: Any) -> Any:
        raise ValueError("of no use\nto anybody")

    def blank(*_: Any) -> Any:
        return plotting.page(1, 1)

    table: dict[str, Callable[..., Any]] = {"first": broken, "second": blank}
    for _ in range(2):  # it is tried again
        with pytest.raises(ExceptionGroup) as failed:
            figures.draw_all(cube, [], tmp_path, study, table)
        assert failed.value.exceptions[0].__notes__ == ["in the figure first"]
        assert figures.skipped(tmp_path) == {"first": "ValueError: of no use"}
        assert {file.stem for file in figures.files(tmp_path)} == {"second"}
    assert figures.draw_all(cube, [], tmp_path, study, {"second": blank}) and not figures.skipped(tmp_path)


# In files.


@pytest.fixture(scope="module")
def odd_levels() -> Summary:
    """A level for every name."""
    cube = synthetic_cube({"mix": NASTY}, 2, 1, 8, selection=4, calibration=8, subgroups=("NA", "=1"))
    return summary_of(measure(cube, 0.8), [])


def test_the_csv_is_read_back_by_pandas(odd_levels: Summary, tmp_path: Path) -> None:
    table, file = tidy_table.tabulated(odd_levels), tmp_path / "all.csv"
    assert list(dict.fromkeys(table["mix"])) == NASTY
    tidy_table.write_csv(table, file)
    back = pd.read_csv(file, keep_default_na=False, na_values=[""], dtype={"mix": str})
    for name in ("mix", "subgroup", "against", "name"):
        written = back[name].fillna("").tolist()
        assert [text[1:] if tidy_table.FORMULA.match(text) else text for text in written] == table[name].fillna(
            ""
        ).tolist()
        assert not [text for text in written if text[:1] in "=@\t\r" and text]
    assert np.allclose(back["value"], table["value"].astype(float), equal_nan=True)
    lines = file.read_text(encoding="utf-8").splitlines()
    assert len(lines) == 1 + len(table) and ",'=1," in lines[2] + lines[-1] + lines[20]


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("=cmd()", "'=cmd()"),
        ("@x", "'@x"),
        ("- x", "'- x"),
        ("-1", "-1"),
        ("+0.5", "+0.5"),
        ("'=x", "''=x"),
        ("a=1", "a=1"),
    ],
)
def test_a_spreadsheet_runs_no_name(name: str, written: str, tmp_path: Path) -> None:
    tidy_table.write_csv(pd.DataFrame({name: [name, None]}), tmp_path / "all.csv")
    assert (tmp_path / "all.csv").read_text(encoding="utf-8").splitlines()[:2] == [written, written]


def test_json_has_the_names(odd_levels: Summary) -> None:
    read = json.loads(json.dumps(odd_levels.to_json(), allow_nan=False))
    assert [row["arm"]["mix"] for row in read["levels"]] == NASTY


def test_a_store_has_the_names(tmp_path: Path) -> None:
    names = list(WORDS)
    layout = small.layout(mixes=names, labels=(50,), replicates=1)
    layout = type(layout)(**{**vars(layout), "subgroups": ("[/b] $x", "日本 |<b>_^\\")})
    store = Store.create_or_grow(tmp_path / "store", layout, small.ATTRS)
    arm = {"pretraining": "NA", "labels": 50}
    data = random_data(layout.sizes | {"draw": 3}, np.random.default_rng(0))
    store.write(arm, 0, data, [1, 1, 1], 1.0, {"device": "cpu"})
    cube = open_cube(store.path)
    assert cube["pretraining"].values.tolist() == names
    assert cube["subgroup"].values.tolist() == ["[/b] $x", "日本 |<b>_^\\"]
    assert int((cube["status"] == 1).sum()) == 3 and int((cube.sel(pretraining="NA")["status"] == 1).sum()) == 3


READER = MarkdownIt("commonmark").enable(["table", "strikethrough"])


def test_a_whole_page_shows_the_names(cube: xr.Dataset, summary: Summary, study: Study) -> None:
    value = study_result.result("a`b", cube, summary, study, stores.Provenance(None, {}, {}), "persistence")
    text = READER.render(pages.page(json.loads(study_result.dumps(value))))
    assert "<h1># T | &lt;b&gt;$</h1>" in text and "<code>a`b</code>" in text
    for name in ("mix [old]", "_none {0} &amp;lt;", "日本 |&lt;b&gt;_^\\", "nan \\$z ] %", "=1 $y$ `*"):
        assert name in text, name
    assert "<b>" not in text and text.count("<h2>") == 4 and "<li>" not in text.split("<h2>")[1]


def test_every_number_has_a_macro_of_its_own() -> None:
    made = [numbers.Number("s", "s-1\n2", "f", {"mix": name}, "AUC", "value", 0.5) for name in NASTY]
    names = numbers.macro_names(made)
    assert len(set(names)) == len(NASTY) and all(re.fullmatch("[A-Za-z]+", name) for name in names)
    assert all(re.fullmatch(r"%.*|\\newcommand\{.*\}.*", line) for line in numbers.macros(made, {}).splitlines())
    assert made[0].macro().startswith("sAUC") and string.digits not in "".join(names)


def test_one_console_prints_all_text() -> None:
    """No other has markup switched off, and columns of progress bars have a switch of their own."""
    for file in (ROOT / "biasprop").rglob("*.py"):
        text = file.read_text(encoding="utf-8")
        if file.name != "terminal.py":
            assert not re.search(r"import rich$|from rich import print|from_markup|Console\(", text)
        assert len(re.findall(r"TextColumn\(", text)) == len(re.findall(r"TextColumn\(.*markup=False", text)), file


def test_subgroups_of_one_name_are_refused() -> None:
    (problem,) = population_problems(Population(attributes={"x": ("a", "a_b"), "y": ("c", "b_c")}))
    assert "one name" in problem.what


def test_keys_may_have_any_name_in_quotes() -> None:
    assert parse_key('a."b=#c"') == ("a", "b=#c") and parse_key("a.'=1'") == ("a", "=1")
    assert not parse_key("a = 1 #") and not parse_key('a = "x" #') and not parse_key('"a\nb"')
    assert dotted(("a", 'b"c', 2)) == 'a."b\\"c"[2]'


def test_lists_of_levels_with_commas_differ() -> None:
    one = design.Arm({"a": "x", "b": "y, b z"}, None)  # pyright: ignore[reportArgumentType]
    other = design.Arm({"a": "x, b y", "b": "z"}, None)  # pyright: ignore[reportArgumentType]
    assert one.name != other.name and design.Arm({"a": "x y"}, None).name == "a x y"  # pyright: ignore


def test_headings_are_folded() -> None:
    assert max(map(cell_len, tables.heading("AUC " + "x" * 99).split("\n"))) <= tables.FOLD
