"""Blocks: text is data, bars are drawn to scale and said in words, pages have a sound structure."""

from __future__ import annotations

import re
from typing import Any

import pytest

from biasprop.html import blocks
from biasprop.html.blocks import (
    Code,
    DescriptionList,
    Folded,
    IntervalBar,
    Page,
    Paragraphs,
    Picture,
    ProgressBar,
    Section,
    Table,
)
from biasprop.html.templates import fragment
from tests.html.structure import Document, fragment_problems, page_problems

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</style></title><b>",
    "{{ 7 * 7 }}{% raw %}",
    "&lt;b&gt;",
    "nul\x00 escape\x1b[31m bidi\u202e end",
)


def bar(**changes: Any) -> IntervalBar:
    given: dict[str, Any] = {
        "value": 0.1,
        "plain": (0.0, 0.2),
        "deciding": (-0.1, 0.3),
        "margin": 0.1,
        "axis": (-1.0, 1.0),
        "words": "words",
    }
    return IntervalBar(**given | changes)


def every_block(text: str) -> list[blocks.Block]:
    table = Table(text, [text, text], [[text, bar(words=text, verdict=text)]], notes=[text])
    inner = [
        Paragraphs([text, text], lead=True),
        DescriptionList({text: text, "several": [text, text]}),
        Code(text, text),
        table,
    ]
    inner += [ProgressBar(text, 1, 2, text)]
    return [*inner, Picture(b"<svg/>", text, text), Folded(text, [*inner])]


def page(text: str) -> Page:
    sections = [Section("first", text, every_block(text)), Section("second", text, [])]
    return Page(text, text, text, sections, text, [text])


@pytest.mark.parametrize("text", HOSTILE)
def test_text_is_never_markup(text: str) -> None:
    made = str(page(text))
    assert not list(page_problems(made))
    plain = str(page("harmless"))
    assert [tag for tag, _ in Document(made).elements] == [tag for tag, _ in Document(plain).elements]
    assert not list(fragment_problems(fragment(every_block(text))))


def test_text_is_shown_as_it_is() -> None:
    for text in HOSTILE[:-1]:
        assert text in "".join(Document(str(Paragraphs([text]))).text)
    shown = "".join(Document(str(Paragraphs([HOSTILE[-1]]))).text)
    assert "\\x00" in shown and "\\x1b[31m" in shown and "\\u202e" in shown


def test_every_kind_of_block_is_tested() -> None:
    kinds = {one for one in vars(blocks).values() if isinstance(one, type) and issubclass(one, blocks.Block)}
    assert kinds - {blocks.Block, Page, IntervalBar} == {type(one) for one in every_block("")}


def test_a_bar_is_drawn_to_scale() -> None:
    """200 units wide, of which 190 are the axis."""
    found = Document(str(bar()))
    lines = {one["class"]: (float(one["x1"]), float(one["x2"])) for one in found.named("line")}
    assert lines == {"zero": (100.0, 100.0), "deciding": (90.5, 128.5), "plain": (100.0, 119.0)}
    (band,) = found.named("rect")
    assert (float(band["x"]), float(band["width"])) == (90.5, 19.0)
    (point,) = found.named("circle")
    assert float(point["cx"]) == 109.5
    assert not found.named("path")


def test_a_bar_says_what_is_not_known_or_goes_on() -> None:
    nan = float("nan")
    unknown = Document(str(bar(value=nan, plain=(nan, nan), deciding=(nan, nan), margin=nan)))
    assert [one["class"] for one in unknown.named("line")] == ["zero"]
    assert not unknown.named("circle") and not unknown.named("rect")
    wide = Document(str(bar(plain=(-5.0, 0.2), deciding=(-float("inf"), float("inf")))))
    assert [re.findall(r"^M (\S+)", one["d"]) for one in wide.named("path")] == [["5.0"], ["195.0"]]
    assert len(wide.named("line")) == 3


def test_rows_have_headers_and_numbers_are_aligned() -> None:
    table = Table(
        "A table: of things", ["group", "site", "n", "word"], [["a", "b", "1", "x"]], names=2, text=frozenset({3})
    )
    found = Document(str(table))
    assert [one["scope"] for one in found.named("th")] == ["col"] * 4 + ["row"] * 2
    assert [one.get("class") for one in found.named("td")] == ["number", None]
    assert [one["aria-label"] for one in found.named("div")] == ["A table"]


def test_a_checker_that_finds_nothing_can_fail() -> None:
    sound = str(page("x"))
    for wrong in (
        sound.replace("</main>", ""),
        sound.replace('id="second"', 'id="first"'),
        sound.replace("<h2 ", "<h4 ").replace("</h2>", "</h4>"),
        sound.replace('alt="x"', ""),
        sound.replace("data:image", "https://example.org/image"),
        sound.replace(' scope="row"', ""),
        sound.replace("</body>", "<script></script></body>"),
        sound.replace("default-src 'none'", ""),
        sound.replace("<h1>x</h1>", ""),
    ):
        assert wrong != sound and list(page_problems(wrong))
