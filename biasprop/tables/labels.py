"""Binary labels: what the values of a column mean."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from biasprop.component import InputError, suggestion
from biasprop.tables.columns import Categories, shortened
from biasprop.tables.read import Table

CONVENTIONS = (
    ("1", "0"),
    ("yes", "no"),
    ("y", "n"),
    ("true", "false"),
    ("t", "f"),
    ("positive", "negative"),
    ("pos", "neg"),
    ("diseased", "healthy"),
    ("case", "control"),
    ("present", "absent"),
    ("malignant", "benign"),
)
"""Values for with and without the disease, in lower case."""


def binary_labels(
    table: Table, name: str, positive: str | None = None, option: str = "--positive"
) -> tuple[NDArray[np.int8], str]:
    """Read a category as a label.

    Args:
        table: has the column as a category.
        name: of the column.
        positive: the value that stands for the disease, all others being without; None = as :data:`CONVENTIONS` say.
        option: what messages call the option that states it.

    Returns:
        [row] 1, 0, or -1 where missing, and a line on how the values are read; empty if they are 0 and 1.

    Raises:
        InputError: a value is of no convention, or of another one than the others.
    """
    column = table.columns[name, "category"]
    parser: Categories = column.parser
    meaning = {}
    if positive is not None:
        if positive not in parser.values:
            raise InputError(
                f"{table.file}: {name}: no value {positive!r} ({option}); {suggestion(positive, parser.values)}"
            )
        meaning = {value: int(value == positive) for value in parser.values}
    else:
        written = {value: _normal(value) for value in parser.values}
        pair = next((pair for pair in CONVENTIONS if set(written.values()) <= set(pair)), None)
        if pair is None:
            raise InputError(_unreadable(table, name, parser, written, option))
        meaning = {value: int(normal == pair[0]) for value, normal in written.items()}
    codes = np.array([*(meaning[value] for value in parser.values), -1], np.int8)
    if set(meaning) <= {"0", "1"}:
        return codes[column.data], ""
    sides = (", ".join(value for value in meaning if meaning[value] == side) for side in (1, 0))
    with_disease, without = (text if len(text) <= 200 else f"{text[:197]}..." for text in sides)
    return codes[column.data], f"{name}: {with_disease or 'nothing'} = with disease; {without or 'nothing'} = without"


def _normal(value: str) -> str:
    """A value in lower case; a number equal to 0 or 1 as that."""
    try:
        number = float(value.replace(",", "."))
    except ValueError:
        return value.lower()
    return str(int(number)) if number in (0.0, 1.0) else value.lower()


def _unreadable(table: Table, name: str, parser: Categories, written: dict[str, str], option: str) -> str:
    """Which value cannot be read, by the convention of the first one that can."""
    known = next((pair for value in written.values() for pair in CONVENTIONS if value in pair), None)
    wrong = next(i for i, value in enumerate(written.values()) if known is None or value not in known)
    place = table.at(int(np.argmax(table.columns[name, "category"].data == wrong)), name)
    allowed = "/".join(known) if known else ", ".join("/".join(pair) for pair in CONVENTIONS)
    like = " as in the other rows" if known else ""
    return f"{place}: {shortened(parser.values[wrong])} is no label; allowed: {allowed}{like}, or {option} VALUE"
