"""The report page of a study: answer, verdicts, figures, levels, difficulty, plan, provenance, in one HTML file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from biasprop import NUMERICS, __version__
from biasprop.html.blocks import Block, Code, DescriptionList, Folded, Page, Paragraphs, Picture, Section
from biasprop.report import answer, difficulty, figures, interval_bars, tables
from biasprop.report.html_tables import html_table
from biasprop.statistics.summary import plain
from biasprop.status import LACKS, TO_DO
from biasprop.study import arm_status, design, plan
from biasprop.study.html_blocks import estimands_table, factor_facts
from biasprop.study.sample import settings_table

if TYPE_CHECKING:
    from biasprop.report.results import Report

ANSWER_LINES = 5
"""Most lines of the answer that are not folded."""
ANSWER_WIDTH = 200
"""Characters of such a line, which is a paragraph."""
MAX_BARS = 40
"""Most exploratory estimates with a bar; the table of all estimates has the others."""
CITATION = (
    "The biasprop authors. biasprop: how much of a demographic skew in pretraining is left after fine-tuning on a "
    f"balanced population? Version {__version__}, Apache-2.0."
)


def study_page(report: Report, folder: Path) -> Page:
    """Return the page of a store.

    Args:
        report: of the store.
        folder: of its figures, see :func:`biasprop.report.figures.draw_all`.
    """
    study = report.study
    sections = [
        Section("answer", "Answer", list(_answer(report))),
        Section("verdicts", "Verdicts", list(_verdicts(report))),
        Section("figures", "Figures", list(_figures(folder))),
        Section("levels", "Levels", list(_levels(report))),
        Section("difficulty", "Difficulty ledger", list(_difficulty(report))),
        Section("plan", "Plan", list(_plan(report))),
        Section("provenance", "Provenance", list(_provenance(report))),
        Section("citation", "How to cite", list(_citation(report))),
    ]
    footer = f"Written by biasprop {__version__} from the store {report.store.name}, without looking anything up."
    return Page(study.title, "study report", study.question, sections, footer, _notices(report))


def _notices(report: Report) -> list[str]:
    """What a reader has to know before any number."""
    said = []
    if report.study.origin.smoke:
        said.append("This is the test version of the study (--smoke): its numbers are too small to mean anything.")
    status = arm_status.arm_status(report.study, design.cells(report.study), report.store)
    lacking = Counter(LACKS[value] for value in status.values() if value in LACKS)
    if lacking:
        causes = ", ".join(f"{count:,} {why}" for why, count in lacking.items())
        said.append(f"{sum(lacking.values()):,} of {len(status):,} arms have no result: {causes}.")
    return said


def _answer(report: Report) -> Iterator[Block]:
    said = answer.answer(report.summary, report.study)
    first = said.within(ANSWER_WIDTH, ANSWER_LINES)
    yield Paragraphs(first, lead=True)
    if len(first) < len(said.sentences):
        yield Folded(f"The whole answer, in {len(said.sentences)} sentences", [Paragraphs(said.sentences)])
    if dropped := [*answer.left_out(report.left_out), *answer.limits(report.cube, ANSWER_WIDTH)]:
        yield Paragraphs([" ".join(dropped)])


def _verdicts(report: Report) -> Iterator[Block]:
    estimates = interval_bars.ordered(report.summary.estimates)
    tested = [one for one in estimates if one.role != "exploratory"]
    others = estimates[len(tested) :]
    if tested:
        yield Paragraphs([f"One interval and a margin decide a verdict, {interval_bars.RULE}"])
        yield from interval_bars.bar_tables(tested)
    if others:
        shown = interval_bars.bar_tables(others[:MAX_BARS])
        count = f"{len(others):,}" if len(others) <= MAX_BARS else f"{MAX_BARS} of {len(others):,}"
        yield Folded(f"Exploratory estimates, which have no verdict ({count})", shown)
    yield Folded(
        f"All {len(estimates):,} estimates, with intervals, margins and standard errors",
        [html_table(table) for table in tables.tables(report.summary)[-1:]],
    )


def _figures(folder: Path) -> Iterator[Block]:
    for file in figures.files(folder):
        if file.suffix == ".svg":
            caption = figures.caption(file.stem)
            name = file.stem.replace("_", " ").capitalize()
            yield Picture(file.read_bytes(), f"{name}. {caption.partition('. ')[0].removesuffix('.')}.", caption)
    if reasons := figures.skipped(folder):
        yield Folded("Figures that do not apply to this study", [DescriptionList(reasons)])
    if lacking := figures.missing_glyphs(folder):
        from biasprop.report.plotting import note_on_glyphs

        yield Paragraphs([f"{note_on_glyphs(lacking).capitalize()}."])


def _levels(report: Report) -> Iterator[Block]:
    if budgets := answer.label_budgets(report.study):
        yield Paragraphs([" ".join(budgets)])
    found = tables.tables(report.summary)[:-1]
    if not found:
        yield Paragraphs(["No arm has a result yet."])
    for table in found:
        block = html_table(table)
        yield Folded(block.label, [block])


def _difficulty(report: Report) -> Iterator[Block]:
    study, entries = report.study, report.entries
    if not entries:
        yield Paragraphs(["There is no ledger: the generator differs between replicates, so no row would hold."])
        return
    yield from map(html_table, difficulty.tables(study, entries, report.summary))
    if not all(any(row.kind == "learner" for row in entry.ledger.rows) for entry in entries):
        yield Paragraphs(
            ["The row of a trained network takes minutes and was not computed. This computes it; the next run adds it:"]
        )
        yield Code(f"python -m biasprop.run {study.stem}.toml --difficulty", "Command")


def _plan(report: Report) -> Iterator[Block]:
    study = report.study
    cells = design.cells(study)
    status = arm_status.arm_status(study, cells, report.store)
    finished = arm_status.cells_done(cells, status)
    done = sum(value not in TO_DO for value in status.values())
    estimates = [plain(vars(one)) for one in report.summary.estimates]
    facts: dict[str, str | Sequence[str]] = {
        "subgroups": ", ".join(study.subgroups),
        "replicates": f"{study.replicates:,}",
        "seed": str(study.seed),
        "cells (pretraining conditions x replicates)": f"{finished:,} of {len(cells):,} done",
        "arms (fine-tuning conditions on them)": f"{done:,} of {len(status):,} done",
        "difficulty": list(dict.fromkeys(cell.condition.generator.difficulty.words for cell in cells)),
        "resolves": plan.resolution_words(study, estimates),
    }
    if sent := plan.bytes_sent_words(cells):
        facts["sent"] = sent
    yield DescriptionList(facts | factor_facts(study))
    yield estimands_table(study)
    if settings := settings_table(study.settings()[: study.replicates]):
        yield Folded("Sampled settings, setting k in replicate k alone", [Code("\n".join(settings), "Settings")])
    yield Folded("Study file", [Code(study.origin.text, "Study file")])


def _provenance(report: Report) -> Iterator[Block]:
    from biasprop.store.metadata import table
    from biasprop.store.provenance import provenance

    origin, found = report.study.origin, provenance(report.store, report.cube)
    versions = table(report.cube.attrs, "versions", {})
    facts: dict[str, str | Sequence[str]] = {
        "store": report.store.name,
        "digest": report.study.digest,
        "version of the numbers": str(NUMERICS),
        "computed on": found.date or "not recorded",
        "computed for": [f"{stage}: {spent:.1f} min" for stage, spent in found.minutes.items()] or "not recorded",
        "software and hardware": [f"{words} ({arms:,} draws)" for words, arms in found.fingerprints.items()],
        "versions when the store was made": ", ".join(f"{name} {value}" for name, value in versions.items()),
        "commit": str(report.cube.attrs.get("commit") or "not recorded"),
        "overrides": [*origin.set, *([f"scale {origin.scale}"] if origin.scale else [])] or "none",
    }
    yield DescriptionList(facts)


def _citation(report: Report) -> Iterator[Block]:
    yield Paragraphs([f"{CITATION} Study {report.study.stem}, digest {report.study.digest[:12]}."])
