"""Rendering of templates; the only place that knows Jinja."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from biasprop import paths
from biasprop.terminal import printable

if TYPE_CHECKING:
    from jinja2 import Environment

FOLDER = Path(__file__).parent / "templates"
SUFFIXES = (".html", ".htm")
"""Endings of a page's file."""


def render(template: str, **values: Any) -> str:
    """Return a template with values filled in.

    Args:
        template: name of its file without ``.html.jinja``.
        values: strings are escaped; blocks, which have ``__html__``, are not.

    Returns:
        HTML; a string that other templates do not escape again.
    """
    from markupsafe import Markup

    return Markup(_environment().get_template(f"{template}.html.jinja").render(**values))


def fragment(blocks: Iterable[Any]) -> str:
    """Return blocks as HTML that a notebook shows: without a document around it, and with a style of its own.

    Args:
        blocks: of :mod:`biasprop.html.blocks`.
    """
    return str(render("fragment", blocks=list(blocks), style=style()))


def unwritable(file: Path, inputs: Iterable[Path] = ()) -> list[str]:
    """Return the reasons why a page cannot be written to a file; ``inputs`` are files that the command reads."""
    return paths.unwritable(file, SUFFIXES, inputs)


@functools.cache
def style() -> str:
    """The style sheet of pages and fragments."""
    from markupsafe import Markup

    return Markup((FOLDER / "style.css").read_text(encoding="utf-8"))


def source_files() -> list[Path]:
    """All files that HTML is made from: a cached page is out of date when one of them changes."""
    return [*sorted(FOLDER.parent.glob("*.py")), *sorted(FOLDER.iterdir())]


@functools.cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _shown(value: Any) -> Any:
    """Text with escapes for characters that HTML forbids (control characters) or that reverse the direction of text."""
    if hasattr(value, "__html__"):
        return value
    return printable(str(value), keep="\n\t")
