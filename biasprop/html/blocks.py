"""The kinds of blocks of a page."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from biasprop.html.templates import render, style


class Block:
    """Something on a page; ``str(block)`` is its HTML, made by the template of its name."""

    template: ClassVar[str]

    def __html__(self) -> str:
        return render(self.template, block=self)

    def __str__(self) -> str:
        return str(self.__html__())


@dataclass(frozen=True)
class Paragraphs(Block):
    """Plain text, a paragraph per entry; the first one may stand out."""

    template = "paragraphs"
    texts: Sequence[str]
    lead: bool = False
    """Whether the first one is larger."""


@dataclass(frozen=True)
class DescriptionList(Block):
    """Names and values, such as the seed of a study."""

    template = "description_list"
    entries: Mapping[str, str | Sequence[str]]
    """Name -> its value, or several."""


@dataclass(frozen=True)
class Code(Block):
    """Text in which spaces count: a command, or a study file."""

    template = "code"
    text: str
    name: str
    """What it is, for readers who do not see it."""


@dataclass(frozen=True)
class Folded(Block):
    """Blocks that are shown when their summary is opened."""

    template = "folded"
    summary: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Picture(Block):
    """A figure with its caption, in a frame of its own, so that its ids meet no others and no script of it runs."""

    template = "picture"
    svg: bytes
    alt: str
    """What it shows, for readers who do not see it."""
    caption: str

    @property
    def data(self) -> str:
        """The picture as a data URI."""
        return f"data:image/svg+xml;base64,{base64.b64encode(self.svg).decode()}"


@dataclass(frozen=True)
class Table(Block):
    """A table; its columns of names come first, and head its rows."""

    template = "table"
    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str | Block]]
    names: int = 1
    """Columns that name a row."""
    text: frozenset[int] = frozenset()
    """Other columns with text, which is aligned to the left; all others have numbers."""
    notes: Sequence[str] = ()
    """Lines below it."""

    @property
    def label(self) -> str:
        """The beginning of the caption, for lists of a page's regions."""
        first = self.caption.splitlines()[0] if self.caption else "Table"
        return first.partition(":")[0].partition("; ")[0]


WIDTH = 200.0
"""Width of a bar, in its own units."""
INSET = 5.0
"""Distance of the ends of its axis from its edges."""


@dataclass(frozen=True)
class IntervalBar(Block):
    """An estimate on an axis: the margin as a band, 0 as a line, thin the interval that decides, thick the plain one.

    Bounds may be NaN (not drawn) or infinite or beyond the axis (cut there, with an arrow).
    """

    template = "interval_bar"
    value: float
    plain: tuple[float, float]
    deciding: tuple[float, float]
    margin: float
    """Half the width of the band; NaN = none."""
    axis: tuple[float, float]
    """Ends of the axis, which includes 0."""
    words: str
    """The same in words."""
    verdict: str = ""
    """For its colour; has to be said beside the bar, too."""

    def at(self, value: float) -> str:
        """Position of a value, cut at the ends of the axis."""
        low, high = self.axis
        part = (min(max(value, low), high) - low) / (high - low)
        return f"{INSET + part * (WIDTH - 2 * INSET):.1f}"

    @property
    def lines(self) -> list[tuple[str, float, float]]:
        """Intervals that are known: class of the line, low, high."""
        both = (("deciding", self.deciding), ("plain", self.plain))
        return [(name, low, high) for name, (low, high) in both if not (math.isnan(low) or math.isnan(high))]

    @property
    def arrows(self) -> list[tuple[str, int]]:
        """Ends of the axis beyond which an interval continues: position, and -1 for left or 1 for right."""
        low, high = self.axis
        left = any(start < low for _, start, _ in self.lines)
        right = any(end > high for _, _, end in self.lines)
        return [*([(self.at(low), -1)] * left), *([(self.at(high), 1)] * right)]

    @property
    def known(self) -> bool:
        """Whether there is a value."""
        return math.isfinite(self.value)

    @property
    def banded(self) -> bool:
        """Whether there is a margin."""
        return self.margin > 0


@dataclass(frozen=True)
class ProgressBar(Block):
    """How much of something is done."""

    template = "progress_bar"
    name: str
    done: int
    total: int
    """At least 1."""
    note: str = ""


@dataclass(frozen=True)
class Section:
    """A part of a page, with a heading that its table of contents names."""

    id: str
    """Of lower-case letters and hyphens, unique on the page."""
    heading: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Page(Block):
    """A whole document in one file."""

    template = "page"
    title: str
    kind: str
    """What kind of document it is, such as "Study report"."""
    lead: str
    """What it is about, in a sentence or two."""
    sections: Sequence[Section]
    footer: str
    notices: Sequence[str] = field(default=())
    """Warnings that come before everything else."""

    @property
    def style(self) -> str:
        """The style sheet."""
        return style()
