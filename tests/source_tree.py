"""The source files as the tests about them see them: parsed, never imported."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Import:
    """One imported module."""

    module: str
    """Dotted; of ``from a import b`` it is ``a.b`` where that is a module of ours, else ``a``."""
    line: int
    lazy: bool
    """Inside a function."""
    typing: bool
    """Under ``if TYPE_CHECKING``."""


@functools.cache
def modules(package: str) -> dict[str, Path]:
    """Dotted name -> file of every module of ``biasprop`` or ``paper``."""
    found = {}
    for file in sorted((ROOT / package).rglob("*.py")):
        parts = file.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


@functools.cache
def tree(file: Path) -> ast.Module:
    """The parsed file."""
    return ast.parse(file.read_text(encoding="utf-8"), filename=str(file))


def at(file: Path, node: ast.AST) -> str:
    """``file:line`` of a node, to be clicked on."""
    return f"{file.relative_to(ROOT)}:{getattr(node, 'lineno', 1)}"


@functools.cache
def imports(file: Path) -> tuple[Import, ...]:
    """Everything a file imports."""
    return tuple(_imports(tree(file), lazy=False, typing=False))


def _imports(node: ast.AST, lazy: bool, typing: bool) -> Iterator[Import]:
    ours = {**modules("biasprop"), **modules("paper")}
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (Import(name.name, child.lineno, lazy, typing) for name in child.names)
        elif isinstance(child, ast.ImportFrom):
            for name in child.names:
                member = f"{child.module}.{name.name}"
                yield Import(member if member in ours else str(child.module), child.lineno, lazy, typing)
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
            for statement in child.body:
                yield from _imports(ast.Module([statement], []), lazy, True)
            for statement in child.orelse:
                yield from _imports(ast.Module([statement], []), lazy, typing)
        else:
            function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from _imports(child, lazy or function, typing)
