"""Contact sheet of twins: subgroups x labels, and every measured lever from low to high."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from biasprop.report.plotting import DOUBLE, NotApplicable, page, plain, style

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from biasprop.statistics.summary import Estimate
    from biasprop.study.study import Study

CAPTION = (
    "Simulated test subjects. Adjacent images are twins: one subject rendered once in every subgroup with all "
    "other latents held. Dashed: outline of the lesion, which models do not see."
)

COLUMNS = 12
"""Images per line."""
COHORT = 512
"""Subjects from which low to high values of a lever are selected."""
GAP, INSET, HEAD, LEVER = 0.1, 0.01, 0.45, 1.3
"""Space between twins of different subjects, around every image and for a heading, and height of a line of levers, in
widths of an image."""


class Tiles(NamedTuple):
    """Rendered subjects, ready to draw; ``g`` subgroups, ``n`` subjects, ``k`` steps from low to high."""

    subgroups: tuple[str, ...]
    twins: NDArray[np.floating]
    """[label, subject, subgroup, h, w, c] in [0, 1]."""
    masks: NDArray[np.floating]
    """[label, subject, subgroup, h, w] in [0, 1]."""
    levers: dict[str, tuple[NDArray[np.floating], NDArray[np.floating]]]
    """Lever -> images [g, k, h, w, c] and their measured values [g, k]; first and last subgroup only."""


def across(groups: int) -> int:
    """Number of subjects per line, for a number of subgroups."""
    return max(1, COLUMNS // groups)


def steps(groups: int) -> int:
    """Number of images of a lever in one subgroup: half a line, and a gap beside the other half."""
    columns = across(groups) * groups
    return (columns - (across(groups) == 1)) // 2  # only between subjects is there a gap already


def render(study: Study, subjects: int, *, levers: bool) -> Tiles:
    """Render the first test subjects of replicate 0, each with and without disease, in every subgroup.

    Args:
        study: its generator, seed and disease are used.
        subjects: how many subjects for each label.
        levers: also select, from :data:`COHORT` subjects with both labels, images with low to high values of every
            lever that the generator measures.
    """
    from biasprop.hardware import device

    with device.computing():
        return _render(study, subjects, levers)


def _render(study: Any, subjects: int, levers: bool) -> Tiles:
    from biasprop import keys
    from biasprop.observers import calibration_cache
    from biasprop.population import rosters
    from biasprop.population.shifts import in_order
    from biasprop.training import rendering
    from biasprop.training.batching import one_cell, over_cells

    condition = calibration_cache.with_calibration(study.pretraining_condition())
    disease = study.finetuning.task.disease_index(condition.generator.diseases)
    names = tuple(condition.generator.subgroups)
    owner = keys.stream(keys.replicate(study.seed, 0), keys.Stream.TEST)
    shifts = in_order(study.evaluation.of_subjects().shifts, names)
    # In the chunks in which a study renders its sets, so that both share compiled programs.
    cell = one_cell(condition, owner)

    def drawn(subgroup: int, label: NDArray[np.integer]) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
        """Images and masks of the first subjects in one subgroup."""
        label = label.astype(np.int32)
        who = rosters.Roster(np.full_like(label, subgroup), label, label, shifts, disease)
        return tuple(
            rendering.concatenated(chunks, len(label))[0]
            for chunks in (
                [examples["image"] for examples in rendering.rendered(cell, cell.key, who)],
                rendering.rendered_masks(cell, cell.key, who),
            )
        )  # pyright: ignore[reportReturnType]

    pairs = [[drawn(g, np.full(subjects, label)) for g in range(len(names))] for label in (0, 1)]
    twins, outlines = (np.stack([np.stack([pair[part] for pair in row], axis=1) for row in pairs]) for part in (0, 1))
    found: dict[str, tuple[NDArray[np.floating], NDArray[np.floating]]] = {}
    if not levers:
        return Tiles(names, twins, outlines, found)
    cohort = [drawn(g, np.arange(COHORT) % 2) for g in (0, len(names) - 1)]
    pool = np.stack([images for images, _ in cohort])
    read = [over_cells(_measured)(cell.condition.generator, *(part[None] for part in side)) for side in cohort]
    ranks = np.round(np.linspace(0.01, 0.99, steps(len(names))) * (COHORT - 1)).astype(int)
    for lever in read[0]:
        sides = np.stack([np.asarray(side[lever])[0] for side in read])
        order = np.argsort(sides, axis=1, kind="stable")[:, ranks]
        found[lever] = pool[np.arange(2)[:, None], order], np.take_along_axis(sides, order, axis=1)
    return Tiles(names, twins, outlines, found)


def _measured(generator: Any, images: Any, masks: Any) -> Any:
    import jax

    return jax.vmap(generator.measure)(images, masks)


@style()
def draw(
    cube: xr.Dataset | None, estimates: Sequence[Estimate], study: Study, *, subjects: int = 0, levers: bool = False
) -> Figure:
    """Draw the contact sheet.

    Args:
        cube, estimates: not used; all figures have the same arguments.
        study: its generator is shown.
        subjects: number per label; 0 fills two lines of :data:`COLUMNS` images.
        levers: add one line per measured lever, from low to high.

    Raises:
        NotApplicable: the generator simulates no images.
    """
    from biasprop.interfaces import RendersImages

    if not isinstance(study.generator.plain, RendersImages):
        raise NotApplicable(f"the generator {study.generator.kind} simulates no images")
    groups = len(study.generator.subgroups)
    abreast = across(groups)
    tiles = render(study, subjects or 2 * abreast, levers=levers)
    # All on one axes, in widths of an image, so that images are aligned across blocks.
    width = abreast * (groups + GAP) - GAP
    longest = max((len(plain(lever)) for lever in tiles.levers), default=0)
    margin = max(1.0, 0.11 * longest) if levers else 0.3
    lines = -(-tiles.twins.shape[1] // abreast)
    block = HEAD + lines * (1 + GAP)
    height = 2 * block + (HEAD + len(tiles.levers) * LEVER if levers else 0.0)
    inch = DOUBLE / (margin + width)
    figure = page(DOUBLE, height * inch)
    figure.set_layout_engine("none")
    axes = figure.add_axes((0, 0, 1, 1))
    for label, title in enumerate(("without disease", "with disease")):
        _twins(axes, tiles, label, label * block + HEAD)
        middle = label * block + HEAD + (lines * (1 + GAP) - GAP) / 2
        axes.text(-0.08, middle, title, rotation=90, ha="right", va="center", fontsize=7)
    if levers:
        _levers(axes, tiles, 2 * block + HEAD, width)
    axes.set_xlim(-margin, width)
    axes.set_ylim(height, 0)
    axes.set_axis_off()
    return figure


def _twins(axes: Axes, tiles: Tiles, label: int, top: float) -> None:
    groups = len(tiles.subgroups)
    for n in range(tiles.twins.shape[1]):
        line, column = divmod(n, across(groups))
        for g in range(groups):
            left, down = column * (groups + GAP) + g, top + line * (1 + GAP)
            _image(axes, tiles.twins[label, n, g], left, down)
            _outline(axes, tiles.masks[label, n, g], left, down)
            if line == 0:
                axes.text(left + 0.5, top - 0.06, plain(tiles.subgroups[g]), ha="center", va="bottom", fontsize=6)


def _levers(axes: Axes, tiles: Tiles, top: float, width: float) -> None:
    for line, (lever, (images, values)) in enumerate(tiles.levers.items()):
        down = top + line * LEVER
        axes.text(-0.08, down + 0.5, plain(lever), ha="right", va="center", fontsize=7)
        half = images.shape[1]
        for g, name in enumerate((tiles.subgroups[0], tiles.subgroups[-1])):
            start = g * (width - half)
            for k in range(half):
                _image(axes, images[g, k], start + k, down)
                axes.text(start + k + 0.5, down + 1.03, f"{values[g, k]:.3g}", ha="center", va="top", fontsize=6)
            if line == 0:
                axes.text(
                    start + half / 2,
                    top - 0.06,
                    f"{plain(name)}: each measured lever from low to high",
                    ha="center",
                    va="bottom",
                    fontsize=6,
                )


def _image(axes: Axes, image: NDArray[np.floating], left: float, top: float) -> None:
    shown = image if image.shape[-1] == 3 else np.repeat(image.mean(-1, keepdims=True), 3, axis=-1)
    extent = (left + INSET, left + 1 - INSET, top + 1 - INSET, top + INSET)
    axes.imshow(np.clip(shown, 0, 1), extent=extent, interpolation="none", aspect="equal")


def _outline(axes: Axes, mask: NDArray[np.floating], left: float, top: float) -> None:
    if not mask.min() < 0.5 < mask.max():
        return  # no lesion: a healthy subject of a generator that draws only disease
    height, width = mask.shape
    x, y = left + (np.arange(width) + 0.5) / width, top + (np.arange(height) + 0.5) / height
    axes.contour(x, y, mask, levels=[0.5], colors="white", linewidths=0.5, linestyles="dashed")
