"""A page in Chromium, where there is one: it fits, it is dark in the dark, keys work, and nothing is fetched."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest

from biasprop.html.blocks import DescriptionList, Folded, IntervalBar, Page, Paragraphs, Picture, Section, Table
from tests.report import browser
from tests.report.browser import Browser

SVG = (
    b'<svg xmlns="http://www.w3.org/2000/svg" width="900" height="90"><rect width="900" height="90" fill="red"/></svg>'
)


def page() -> Page:
    """A page with every kind of block, wider than a telephone where it can be."""
    bar = IntervalBar(0.1, (0.0, 0.2), (-0.1, 0.3), 0.1, (-1.0, 1.0), "0.1, negligible", "negligible")
    row = ["a name that is long " * 3, *["[0.123, 0.456]"] * 12, bar]
    table = Table("A wide table: of numbers", ["name", *["interval"] * 12, "bar"], [row] * 3)
    long = "word" * 60
    first = [
        Paragraphs([f"The answer. {long}"], lead=True),
        table,
        DescriptionList({"digest": "f" * 64, "several": ["a", "b"]}),
    ]
    second = [Picture(SVG, "a black bar", "The caption."), Folded("More", [Paragraphs(["hidden"])])]
    sections = [Section("answer", "Answer", first), Section("figures", "Figures", second)]
    return Page("Title", "study report", "The question?", sections, "The end.", ["A warning."])


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    program = browser.chromium()
    if program is None:
        pytest.skip(browser.LACKING)
    folder = tmp_path_factory.mktemp("browser")
    file = folder / "page.html"
    file.write_text(str(page()), encoding="utf-8")
    with browser.started(program, folder / "profile") as found:
        found.open(file)
        yield found


def test_nothing_is_fetched_and_nothing_is_wrong(chromium: Browser) -> None:
    fetched = [event["params"]["request"]["url"] for event in chromium.events if event["method"].endswith("WillBeSent")]
    assert {url.partition(":")[0] for url in fetched} <= {"file", "data", "about"}
    assert sum(url.startswith("file:") for url in fetched) == 1
    said = [event for event in chromium.events if event["method"] in ("Log.entryAdded", "Runtime.consoleAPICalled")]
    assert not said, said
    assert chromium.value("document.images[0].naturalWidth") == 900, "the figure is drawn"
    assert chromium.value("document.compatMode") == "CSS1Compat"


@pytest.mark.parametrize("width", [320, 390, 768, 1440])
def test_the_page_is_as_wide_as_the_window(width: int, chromium: Browser) -> None:
    """Wide tables scroll in their own region."""
    chromium.width(width)
    assert chromium.value("document.documentElement.scrollWidth") <= width


def test_it_is_dark_in_the_dark_and_can_be_read(chromium: Browser) -> None:
    def contrast(scheme: str) -> float:
        chromium.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        found = []
        for name in ("color", "backgroundColor"):
            text = chromium.value(f"getComputedStyle(document.body).{name}")
            parts = [int(part) / 255 for part in text[text.index("(") + 1 : -1].split(",")[:3]]
            linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
            found.append(sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True)))
        ink, paper = found
        assert (paper > ink) == (scheme == "light")
        return (max(found) + 0.05) / (min(found) + 0.05)

    assert min(contrast("light"), contrast("dark")) > 7  # WCAG AAA


def test_keys_reach_everything(chromium: Browser) -> None:
    """The first Tab shows the link that skips to the answer; tables that scroll and folded parts follow."""
    chromium.value("document.activeElement.blur()")
    seen = []
    for _ in range(12):
        chromium.key("Tab", 9)
        seen.append(chromium.value("document.activeElement.className || document.activeElement.tagName"))
    assert seen[0] == "skip" and {"scroll", "SUMMARY", "A"} <= set(seen)
    chromium.value("document.querySelector('summary').focus()")
    chromium.key("Enter", 13)
    assert chromium.value("document.querySelector('details').open")


def test_screen_readers_find_landmarks_and_labels(chromium: Browser) -> None:
    nodes = chromium.call("Accessibility.getFullAXTree")["nodes"]
    roles = {
        (node["role"]["value"], node.get("name", {}).get("value", "")) for node in nodes if not node.get("ignored")
    }
    for role, name in (
        ("banner", ""),
        ("navigation", "Contents"),
        ("main", ""),
        ("contentinfo", ""),
        ("region", "Answer"),
        ("region", "A wide table"),
        ("rowheader", ("a name that is long " * 3).strip()),
        ("image", "0.1, negligible"),
        ("image", "a black bar"),
    ):
        assert (role, name) in roles, (role, name)


def test_it_can_be_printed(chromium: Browser, tmp_path: Path) -> None:
    printed = base64.b64decode(chromium.call("Page.printToPDF", printBackground=True)["data"])
    assert printed.startswith(b"%PDF") and len(printed) > 5_000
