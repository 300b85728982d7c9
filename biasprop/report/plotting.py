"""Shared by all figures: style, sizes, colours, deterministic files, and elements such as curves and legends.

Matplotlib is imported inside functions only, so that a run whose figures are up to date does not import it; pyplot and
its global state are never used. Widths are those of a two-column page, in inches.

Colours are those of Okabe and Ito (2008), "Color Universal Design", which people with any of the common colour vision
deficiencies can tell apart; a marker or a line style always goes with a colour, so that figures can also be read in
black and white.
"""

from __future__ import annotations

import functools
import io
import logging
import os
import sys
import textwrap
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from biasprop import paths
from biasprop.store import whole_files
from biasprop.terminal import JOINERS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SINGLE = 3.4
"""Width of one column, inches."""
DOUBLE = 7.0
"""Width of two columns, inches."""
LEGEND_HANDLE = 0.4
"""Width of a legend's entry without its words, inches."""
LEGEND_CHARACTER = 0.055
"""Mean width of a character of its words, inches."""

INK = "#222222"
GREY = "#8a8a8a"
PALE = "#e9e9e9"
SUBGROUP_COLOURS = ("#0072B2", "#D55E00", "#56B4E9", "#E69F00")
"""Okabe-Ito blue, vermillion, sky blue, orange: subgroups, in the study's order."""
ARM_COLOURS = ("#009E73", "#CC79A7", "#000000")
"""Okabe-Ito green, purple, black: fine-tuning conditions; never the colour of a subgroup."""
CURVE_COLOURS = (*ARM_COLOURS, *SUBGROUP_COLOURS)
"""Curves of a figure with one panel per subgroup."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
FORMATS = ("svg", "pdf", "png")
MAX_LINE = 40
"""Characters of a name in one line of a figure."""

FONTS = ("STIXGeneral", "DejaVu Sans")
"""Fonts, each for the characters that those before it lack. They ship with Matplotlib, so the bits do not depend on
installed fonts."""

UNDATED: dict[str, dict[str, Any]] = {
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "ModDate": None, "Creator": None, "Producer": None},
    "png": {"Software": None},
}
"""Metadata with which the same figure gives the same bytes."""

STYLE: dict[str, Any] = {
    "font.family": list(FONTS),
    "text.parse_math": False,  # names are data: no $ in them starts a formula
    "font.size": 8.0,
    "axes.titlesize": 8.0,
    "axes.labelsize": 8.0,
    "xtick.labelsize": 7.0,
    "ytick.labelsize": 7.0,
    "legend.fontsize": 7.0,
    "legend.frameon": False,
    "legend.handlelength": 1.6,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "xtick.minor.visible": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.unicode_minus": True,
    "lines.linewidth": 1.0,
    "lines.markersize": 3.5,
    "savefig.dpi": 300,
    "figure.dpi": 100,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "svg.hashsalt": "biasprop",  # element ids would be random otherwise
    "svg.fonttype": "path",
    "pdf.fonttype": 42,
    "path.simplify": True,
    "image.composite_image": False,
}


class NotApplicable(Exception):
    """A study lacks what a figure shows, such as a factor of label budgets; the message gives the reason."""


@contextmanager
def style() -> Iterator[None]:
    """Context manager and decorator in which figures are drawn and saved; ignores the user's Matplotlib settings.

    Raises:
        InputError: the user's settings keep Matplotlib from being imported.
    """
    matplotlib = _imported_matplotlib()
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        settings: Any = STYLE
        matplotlib.rcParams.update(settings)
        yield


def _imported_matplotlib() -> Any:
    """Matplotlib, whatever backend and folders the environment names: figures that go to files need none of them.

    ``MPLBACKEND`` of a notebook also reaches the commands that it starts, and names a module which their Python may
    lack; Matplotlib then refuses to be imported, as it does for a user without a home folder. In the user's own process
    the backend stays the one asked for, if there is such a one.
    """
    if "matplotlib" not in sys.modules:
        from biasprop.component import InputError

        backend, logger = os.environ.pop("MPLBACKEND", None), logging.getLogger("matplotlib")
        level = logger.level
        logger.setLevel(logging.ERROR)  # warnings about settings that are not used here
        try:
            Path.home()
        except RuntimeError:
            os.environ.setdefault("MPLCONFIGDIR", os.devnull)  # Matplotlib then makes a temporary folder
        try:
            import matplotlib.font_manager
        except ValueError as error:
            raise InputError(f"Matplotlib cannot read its file of settings (matplotlibrc): {error}") from error
        finally:
            logger.setLevel(level)
            if backend is not None:
                os.environ["MPLBACKEND"] = backend
        if backend:
            with suppress(ValueError):
                matplotlib.rcParams["backend"] = backend
    import matplotlib

    return matplotlib


def page(width: float, height: float) -> Figure:
    """Return an empty figure.

    Args:
        width, height: in inches; `width` is :data:`SINGLE` or :data:`DOUBLE` in a paper.
    """
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def unwritable(file: Path, inputs: Iterable[Path] = ()) -> list[str]:
    """Return the reasons why a picture cannot be written to a file; ``inputs`` are files that the command reads."""
    return paths.unwritable(file, [f".{name}" for name in FORMATS], inputs)


@style()
def lay_out(figure: Figure) -> None:
    """Lay a figure out once for all formats, because layout is slower than writing; at the resolution of the saved
    file, because the width of text depends on it."""
    import matplotlib

    figure.set_dpi(matplotlib.rcParams["savefig.dpi"])
    if figure.axes and (engine := figure.get_layout_engine()):
        engine.execute(figure)  # only layout; drawing follows for each format
    figure.set_layout_engine(None)  # "none" would leave a placeholder that makes every savefig draw twice


@functools.cache
def _characters(font: str) -> frozenset[int]:
    """The characters that a font has."""
    from matplotlib import font_manager, ft2font

    return frozenset(ft2font.FT2Font(font_manager.findfont(font, fallback_to_default=False)).get_charmap())


def without_glyph(figure: Figure) -> str:
    """Return the characters in the text of a saved figure that no font of :data:`FONTS` has: those drawn as boxes."""
    from matplotlib.text import Text

    used = dict.fromkeys(c for text in figure.findobj(Text) for c in text.get_text())  # pyright: ignore
    invisible = ("\n", *JOINERS)
    known = frozenset().union(*map(_characters, FONTS))
    return "".join(sorted(c for c in used if c not in invisible and ord(c) not in known))


def note_on_glyphs(characters: str) -> str:
    """Return a line that says which characters figures show as boxes."""
    return f"the fonts of figures lack these characters, drawn as boxes: {' '.join(characters)}"


@contextmanager
def _boxes_allowed() -> Iterator[None]:
    """Draw characters that no font has as boxes without a warning for each; see :func:`without_glyph`."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font", UserWarning)
        yield


@style()
def save(figure: Figure, stem: Path, formats: Sequence[str] = FORMATS) -> list[Path]:
    """Write a figure; the same figure gives the same bytes.

    Args:
        figure: the figure.
        stem: path without suffix; its folder is created.
        formats: suffixes.

    Returns:
        The files; each is written whole or not at all.
    """
    stem.parent.mkdir(parents=True, exist_ok=True)
    files = [stem.with_name(f"{stem.name}.{suffix}") for suffix in formats]
    with _boxes_allowed():
        lay_out(figure)
        for suffix, file in zip(formats, files, strict=True):
            with whole_files.replaced(file) as partial:
                figure.savefig(partial, format=suffix, metadata=UNDATED[suffix])
    return files


@style()
def save_as(figure: Figure, file: Path) -> Path:
    """Write a figure to a file that a user has named, see :func:`biasprop.store.whole_files.output`.

    Args:
        figure: the figure.
        file: its suffix, of :data:`FORMATS`, gives the format; its folder exists.

    Returns:
        The file.
    """
    suffix = file.suffix.removeprefix(".")
    with _boxes_allowed(), whole_files.output(file) as whole:
        lay_out(figure)
        figure.savefig(whole, format=suffix, metadata=UNDATED[suffix])
    return file


@style()
def svg(figure: Figure) -> bytes:
    """Return a figure as SVG; the same figure gives the same bytes."""
    content = io.BytesIO()
    with _boxes_allowed():
        lay_out(figure)
        figure.savefig(content, format="svg", metadata=UNDATED["svg"])
    return content.getvalue()


def colours(names: Sequence[str], table: Sequence[str] = SUBGROUP_COLOURS) -> dict[str, str]:
    """Return a colour for each name, in order; they repeat where the table ends, and markers differ."""
    return {name: table[i % len(table)] for i, name in enumerate(names)}


def markers(names: Sequence[str]) -> dict[str, str]:
    """Return a marker for each name, in order."""
    return {name: MARKERS[i % len(MARKERS)] for i, name in enumerate(names)}


def series(
    axes: Axes,
    x: ArrayLike,
    replicates: NDArray[np.floating],
    summary: tuple[ArrayLike, ArrayLike, ArrayLike],
    *,
    colour: str,
    marker: str,
    label: str,
    spread: float = 0.0,
    line: Literal["-", "--", ":", ""] = "-",
) -> None:
    """Draw one curve: pale points of the replicates, the mean, and its interval.

    Args:
        axes: to draw on.
        x: positions [x].
        replicates: one value per replicate [replicate, x]; NaN where there is none.
        summary: mean, low and high [x].
        colour, marker, label, line: look of the curve and its name in the legend.
        spread: half the width, in units of x, over which the points of one position are spread.
    """
    at = np.asarray(x, float)
    mean, low, high = (np.asarray(part, float) for part in summary)
    count = len(replicates)
    offsets = np.linspace(-spread, spread, count) if count > 1 else np.zeros(count)
    for offset, values in zip(offsets, replicates, strict=True):
        axes.plot(at + offset, values, marker, color=colour, alpha=0.3, markersize=2.2, markeredgewidth=0, zorder=2)
    below, above = np.maximum(mean - low, 0), np.maximum(high - mean, 0)
    axes.errorbar(
        at,
        mean,
        yerr=np.where(np.isfinite([below, above]), [below, above], 0.0),
        color=colour,
        marker=marker,
        linestyle=line or "none",
        elinewidth=1.0,
        capsize=2.0,
        capthick=1.0,
        label=label,
        zorder=3,
    )


def reference(
    axes: Axes, mean: float, low: float, high: float, *, colour: str = GREY, label: str | None = None, line: str = "--"
) -> None:
    """Draw a value that has no position on the x axis: a horizontal line in a pale band, its interval."""
    if not np.isfinite(mean):
        return
    if np.isfinite(low) and np.isfinite(high):
        axes.axhspan(low, high, color=colour, alpha=0.12, linewidth=0, zorder=0)
    axes.axhline(mean, color=colour, linestyle=line, linewidth=0.9, label=label, zorder=1)


def margin_band(axes: Axes, margin: float, *, vertical: bool = False, label: str | None = None) -> None:
    """Draw the margin as a band from -`margin` to +`margin`, and a line at 0."""
    span, line = (axes.axvspan, axes.axvline) if vertical else (axes.axhspan, axes.axhline)
    span(-margin, margin, color=PALE, linewidth=0, zorder=-2, label=label)
    line(0.0, color=INK, linewidth=0.6, zorder=-1)


def legend(figure: Figure, columns: int) -> None:
    """Add one legend above all panels: every label once, curves before references.

    Args:
        figure: with labelled curves.
        columns: at most; fewer where the labels are too long for its width.
    """
    from matplotlib.container import ErrorbarContainer

    found: dict[str, Any] = {}
    for axes in figure.axes:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    order = sorted(found, key=lambda label: not isinstance(found[label], ErrorbarContainer))
    handles = [found[label] for label in order]
    widest = LEGEND_HANDLE + max(map(len, order), default=0) * LEGEND_CHARACTER
    fitting = max(1, int(figure.get_figwidth() / widest))
    figure.legend(handles, order, loc="outside upper center", ncols=min(columns, fitting, len(order)))


def inner_ticks(axes: Axes, *names: Literal["x", "y"]) -> None:
    """Fix the ticks of these axes to those in view; Matplotlib also keeps the next ones outside."""
    for name in names:
        low, high = sorted(getattr(axes, f"get_{name}lim")())
        axis = getattr(axes, f"{name}axis")
        axis.set_ticks([tick for tick in axis.get_ticklocs() if low <= tick <= high])


def budget_axis(axes: Axes, budgets: Sequence[float]) -> NDArray[np.floating]:
    """Make a logarithmic axis of label budgets with a tick at each budget.

    Returns:
        Positions of the budgets: their decimal logarithms, to which offsets between curves can be added.
    """
    positions = np.log10(np.asarray(budgets, float))
    axes.set_xticks(positions, [plain(budget) for budget in budgets])
    return positions


def plain(level: object, max_line: int = MAX_LINE) -> str:
    """Return a level as text: ``linear_probe`` is ``linear probe``, 1000.0 is 1,000; a long name has several lines of
    at most ``max_line`` characters."""
    if isinstance(level, str):
        lines = textwrap.wrap(level.replace("_", " "), max_line, break_on_hyphens=False, drop_whitespace=False)
        return "\n".join(lines)
    number = float(level)  # pyright: ignore[reportArgumentType]
    return f"{number:,.0f}" if number == round(number) else f"{number:g}"
