"""House style that a linter does not know: docstrings, type hints, names, sizes of files."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.source_tree import ROOT, at, modules, tree

FILES = [*modules("biasprop").values(), *modules("paper").values()]
TESTS = sorted((ROOT / "tests").rglob("*.py"))
LONGEST = 400

NAMELESS = {"util", "utils", "helper", "helpers", "misc", "common", "base", "core", "new", "final", "v2"}
"""Names of files that say nothing about what is in them."""

AVOID = {"rng", "config", "cfg", "opt", "opts", "hparams", "hparam", "accuracy", "acc", "dgp", "debias", "debiased"} | {
    "unfair", "race", "epoch", "epochs"
}  # fmt: skip
"""Words with a better one in the glossary: key, study, definition, auc, generator, mitigation, tone, step."""

LIBRARY_WORDS = {"model_config"}
"""Names that a library prescribes."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


def public(file: Path) -> Iterator[tuple[ast.AST, str]]:
    """Public classes and functions of a file and public methods of its public classes."""
    for node in tree(file).body:
        if isinstance(node, ast.ClassDef | Function) and not node.name.startswith("_"):
            yield node, node.name
            for inner in node.body if isinstance(node, ast.ClassDef) else ():
                if isinstance(inner, Function) and not inner.name.startswith("_"):
                    yield inner, f"{node.name}.{inner.name}"


def test_everything_public_has_a_docstring() -> None:
    wrong = [f"{file.relative_to(ROOT)}:1: module" for file in FILES if not ast.get_docstring(tree(file))]
    for file in FILES:
        for node, name in public(file):
            if not ast.get_docstring(node):  # pyright: ignore[reportArgumentType]
                wrong.append(f"{at(file, node)}: {name}")
    assert not wrong, "\n".join(wrong)


def test_every_field_of_a_study_is_explained() -> None:
    """The definitions are the documentation of the study file and of its schema."""
    definitions = {"Definition", "Component"}
    wrong = []
    for file in FILES:
        for node in ast.walk(tree(file)):
            bases = (
                {base.id for base in node.bases if isinstance(base, ast.Name)} if isinstance(node, ast.ClassDef) else ()
            )
            if not isinstance(node, ast.ClassDef) or node.name in definitions or not definitions & set(bases):
                continue
            for field, after in zip(node.body, [*node.body[1:], ast.Pass()], strict=True):
                if not isinstance(field, ast.AnnAssign) or not isinstance(field.target, ast.Name):
                    continue
                told = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
                if not (told or field.target.id in ("kind",) or "ClassVar" in ast.dump(field.annotation)):
                    wrong.append(f"{at(file, field)}: {node.name}.{field.target.id}")
    assert not wrong, "\n".join(wrong)


def test_everything_has_type_hints() -> None:
    wrong = []
    for file in FILES:
        for node in ast.walk(tree(file)):
            if isinstance(node, Function):
                given = node.args
                arguments = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
                bare = [a.arg for a in arguments if a and a.annotation is None and a.arg not in ("self", "cls")]
                if bare or (node.returns is None and node.name != "__init__"):
                    wrong.append(f"{at(file, node)}: {node.name} {bare or 'return'}")
    assert not wrong, "\n".join(wrong)


def names(file: Path) -> Iterator[tuple[ast.AST, str]]:
    """Every name a file gives to something."""
    for node in ast.walk(tree(file)):
        if isinstance(node, ast.ClassDef | Function):
            yield node, node.name
        elif isinstance(node, ast.arg):
            yield node, node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node, node.id
        elif isinstance(node, ast.alias) and node.asname:
            yield node, node.asname


def words(name: str) -> set[str]:
    """``firstGroup_0`` -> first, group, 0."""
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])", name)}


def test_words_of_names() -> None:
    wrong = []
    for file in [*FILES, *TESTS]:
        for node, name in names(file):
            found = words(name) & AVOID
            numbered = re.fullmatch(r"(sub)?group_?\d+|.*_(new|final|v\d+|tmp)", name)
            if (found or numbered) and name not in LIBRARY_WORDS and name != "AVOID":
                wrong.append(f"{at(file, node)}: {name}")
    assert not wrong, "\n".join(wrong)


def test_words_of_names_can_fail() -> None:
    assert words("trainOpt") & AVOID and words("rng_test") & AVOID and not words("optax_state") & AVOID


def test_names_and_sizes_of_files() -> None:
    wrong = []
    for file in [*FILES, *TESTS]:
        lines = file.read_text(encoding="utf-8").count("\n")
        if lines > LONGEST:
            wrong.append(f"{file.relative_to(ROOT)}: {lines} lines, more than {LONGEST}")
        if {file.stem, file.parent.name} & NAMELESS:
            wrong.append(f"{file.relative_to(ROOT)}: a name that says nothing")
    assert not wrong, "\n".join(wrong)


def test_nothing_is_left_undone() -> None:
    marks = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b|NotImplementedError")
    wrong = [
        f"{file.relative_to(ROOT)}:{i}: {line.strip()}"
        for file in FILES
        for i, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1)
        if marks.search(line)
    ]
    assert not wrong, "\n".join(wrong)
