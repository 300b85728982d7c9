"""Randomness has one source, and nothing is stored or read in a form that runs code."""

from __future__ import annotations

import ast

from tests.source_tree import ROOT, at, imports, modules, tree

FILES = [*modules("biasprop").values(), *modules("paper").values()]
KEYS = ROOT / "biasprop" / "keys.py"
MAKES_KEYS = {"PRNGKey", "key", "split", "fold_in", "wrap_key_data", "clone"}
BOOTSTRAP = ROOT / "biasprop" / "statistics" / "bootstrap.py"
"""Resamples people of a user's table, who belong to no replicate, with a generator of NumPy made from the seed."""
STRAY = {"random", "secrets", "uuid", "numpy.random"}
STRAY_ATTRIBUTES = ("np.random.", "numpy.random.")
RUNS_CODE = {"pickle", "_pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}


def dotted(node: ast.AST) -> str:
    """``a.b.c`` of nested attributes; empty for anything else."""
    if isinstance(node, ast.Attribute) and (inner := dotted(node.value)):
        return f"{inner}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


ATTRIBUTES = [
    (file, node, dotted(node)) for file in FILES for node in ast.walk(tree(file)) if isinstance(node, ast.Attribute)
]


def test_one_source_of_randomness() -> None:
    wrong = [
        f"{at(file, node)}: {name}"
        for file, node, name in ATTRIBUTES
        if name.startswith(STRAY_ATTRIBUTES) and (file != BOOTSTRAP or name != "np.random.default_rng")
    ]
    wrong += [
        f"{file.relative_to(ROOT)}:{i.line}: {i.module}" for file in FILES for i in imports(file) if i.module in STRAY
    ]
    assert not wrong, "\n".join(wrong)


def test_keys_are_made_and_folded_in_one_file() -> None:
    wrong = [
        f"{at(file, node)}: {name}"
        for file, node, name in ATTRIBUTES
        if file != KEYS and name.startswith("jax.random.") and name.rpartition(".")[2] in MAKES_KEYS
    ]
    # Under another name the check above would not see it.
    wrong += [
        f"{at(file, node)}: write jax.random.NAME"
        for file in FILES
        for node in ast.walk(tree(file))
        if (
            isinstance(node, ast.ImportFrom)
            and (node.module == "jax.random" or (node.module == "jax" and any(n.name == "random" for n in node.names)))
        )
        or (
            isinstance(node, ast.Import)
            and any(n.name == "jax.random" or (n.name == "jax" and n.asname) for n in node.names)
        )
    ]
    assert not wrong, "\n".join(wrong)


def test_keys_are_never_split_by_position() -> None:
    wrong = [f"{at(file, node)}: {name}" for file, node, name in ATTRIBUTES if name == "jax.random.split"]
    assert not wrong, "\n".join(wrong)


def test_streams_are_frozen() -> None:
    """Each integer has one meaning for good; a line may be added here, never changed. 8 was DRAW and is retired."""
    from biasprop.keys import Stream, Subject

    assert {name: int(value) for name, value in Stream.__members__.items()} == {
        "INIT": 0,
        "PRETRAIN_SUBJECTS": 1,
        "FINETUNE_SUBJECTS": 2,
        "SELECTION": 3,
        "CALIBRATION": 4,
        "TEST": 5,
        "AUGMENT": 6,
        "ORDER": 7,
        "BOOTSTRAP": 9,
        "HEAD": 10,
        "FINETUNE_ORDER": 11,
        "CONTINUED": 12,
        "SOURCE": 13,
        "PRETEXT": 14,
        "RANDOM_ATTRIBUTES": 15,
        "SITES": 16,
        "PEOPLE": 17,
        "IMAGES_OF_PEOPLE": 18,
        "TRUTH": 20,
    }
    assert 8 not in set(Stream)
    assert {name: int(value) for name, value in Subject.__members__.items()} == {
        "SUBGROUP": 1_000,
        "LABEL": 1_001,
        "MARKER": 1_002,
        "FOLLOW_UP": 1_003,
        "ATTRIBUTE": 1_004,
        "SCORE_NOISE": 1_005,
    }


def test_nothing_stored_runs_code() -> None:
    wrong = [f"{f.relative_to(ROOT)}:{i.line}: {i.module}" for f in FILES for i in imports(f) if i.module in RUNS_CODE]
    for file in FILES:
        for node in ast.walk(tree(file)):
            if isinstance(node, ast.keyword) and node.arg == "allow_pickle":
                if not (isinstance(node.value, ast.Constant) and node.value.value is False):
                    wrong.append(f"{at(file, node.value)}: allow_pickle")
            elif isinstance(node, ast.Call):
                called = dotted(node.func)
                silent = all(keyword.arg != "allow_pickle" for keyword in node.keywords)
                if called in {"eval", "exec"} or (called in {"np.load", "numpy.load"} and silent):
                    wrong.append(f"{at(file, node)}: {called}")
    assert not wrong, "\n".join(wrong)
