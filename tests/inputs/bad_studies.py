"""Mistakes in a study file, one by one, each with the line and the words that its message has to have."""

from __future__ import annotations

from pathlib import Path

EXAMPLE = (Path(__file__).parent / "example.toml").read_text()


def changed(old: str, new: str) -> str:
    """The example with its first ``old`` replaced."""
    assert old in EXAMPLE
    return EXAMPLE.replace(old, new, 1)


CASES: dict[str, tuple[str, str, str, tuple[str, ...]]] = {
    "unknown key": (
        "cohort = 20000",
        "cohortt = 20000",
        "cohortt",
        ("pretraining.cohortt: there is no such key", "shares", "did you mean cohort?"),
    ),
    "unknown key at the top": ("seed = 2", "sead = 2", "sead", ("sead: there is no such key", "did you mean seed?")),
    "unknown kind": (
        '"vit"',
        '"vitt"',
        '"vitt"',
        ("encoder.kind: there is no kind 'vitt'", "linear", "did you mean vit?"),
    ),
    "missing kind": (
        'kind = "vit"',
        "patch = 8",
        "[encoder]",
        ("encoder: its kind is missing", "allowed: vit, mixer, linear"),
    ),
    "missing table": ('[encoder]\nkind = "vit"\n', "", "#:schema", ("encoder: is missing",)),
    "missing key": ("seed = 20261123\n", "", "#:schema", ("seed: is missing",)),
    "unknown preset": (
        'light = "light"',
        'light = "lihgt"',
        "lihgt",
        ("generator.subgroups.light", "fitzpatrick_1", "did you mean light?"),
    ),
    "text for a number": (
        "cohort = 20000",
        'cohort = "many"',
        '"many"',
        ("pretraining.cohort: is 'many'; has to be a whole number",),
    ),
    "number for a text": ('title = "Skin tone in pretraining"', "title = 3", "title", ("title: is 3; has to be text",)),
    "true for a number": ("replicates = 6", "replicates = true", "replicates", ("is true; has to be a whole number",)),
    "fraction for a count": ("replicates = 6", "replicates = 2.5", "replicates", ("has to be a whole number",)),
    "array for a table": (
        "shares = { light = 0.5, dark = 0.5 }",
        "shares = [0.5, 0.5]",
        "shares = [",
        ("pretraining.shares: is an array; has to be a table",),
    ),
    "text for an array": (
        "levels = [50, 200, 1000, 5000]",
        'levels = "all"',
        '"all"',
        ("factors.labels.levels: is 'all'",),
    ),
    "zero replicates": ("replicates = 6", "replicates = 0", "replicates", ("replicates: is 0; has to be at least 1",)),
    "negative size": ("test = 2000", "test = -4", "test = -4", ("evaluation.test: is -4; has to be at least 20",)),
    "huge seed": ("20261123", "99999999999999999999", "seed", ("seed: is 99999999999999999999; has to be at most",)),
    "empty title": ('"Skin tone in pretraining"', '""', "title", ("title: is ''; has to be of length at least 1",)),
    "not a number": ("-20.0", "nan", "nan", ("dark.ita_mean: is nan; has to be a finite number",)),
    "infinity": (
        "margin = 0.10",
        "margin = -inf",
        "-inf",
        ("estimands[0].margin: is -inf; has to be a finite number",),
    ),
    "date": ('title = "Skin tone in pretraining"', "title = 1979-05-27", "1979", ("title: is the date or time",)),
    "impossible tone": ("-20.0", "-200.0", "-200.0", ("ita_mean: is -200.0; has to be at least -60",)),
    "syntax": ("size = 32", "size = = 32", "= =", ("this is not TOML",)),
    "key twice": ("size = 32", "size = 32\nsize = 33", "size = 33", ("this is not TOML",)),
    "one subgroup": (
        "dark = { ita_mean = -20.0, ita_sd = 10.0 }\n",
        "",
        "[generator.subgroups]",
        ("generator.subgroups: is a table; has to be of length at least 2",),
    ),
    "shares of 1.1": ("dark = 0.5", "dark = 0.6", "dark = 0.6", ("shares must sum to 1; these sum to 1.1",)),
    "share of an unknown subgroup": (
        "dark = 0.5 }",
        "drak = 0.5 }",
        "drak",
        ("pretraining.shares.drak: there is no such subgroup", "did you mean dark?"),
    ),
    "share forgotten": (
        "{ light = 1.0, dark = 0.0 }",
        "{ light = 1.0 }",
        "all light",
        ('levels[0].set."pretraining.shares": has no share for dark',),
    ),
    "patch": ('"vit"', '"vit"\npatch = 7', "[encoder]", ("encoder: patch = 7 must divide the image size 32",)),
    "heads": ('"vit"', '"vit"\nheads = 7', "[encoder]", ("encoder: heads = 7 must divide width",)),
    "batch": (
        "cohort = 20000",
        "cohort = 64",
        "[pretraining]",
        ("pretraining.schedule.batch", "has to be at most the size of the cohort, 64"),
    ),
    "sites of an attribute that does not exist": (
        "[pretraining]",
        '[pretraining]\nloop = { kind = "federated", sites = "centre" }',
        "loop =",
        ("pretraining.loop.sites: the population has no attribute 'centre'", "left out, every subgroup is a site"),
    ),
    "more sites in a round than there are": (
        "[pretraining]",
        '[pretraining]\nloop = { kind = "federated", participants = 3 }',
        "loop =",
        ("pretraining.loop.participants: is 3; there are 2 sites",),
    ),
    "a batch that sites cannot divide": (
        "[pretraining]",
        '[pretraining]\nloop = "federated"\nschedule = { batch = 129 }',
        "schedule =",
        ("pretraining.schedule.batch: is 129; has to be a multiple of 2", "such as 128"),
    ),
    "labels beyond the cohort": (
        "cohort = 20000",
        "cohort = 2000",
        "[factors.labels]",
        ("factors.labels: level 5000: finetuning.labels is 5000; has to be at most pretraining.cohort, here 2000",),
    ),
    "a network beyond all memory": (
        'kind = "vit"',
        'kind = "vit"\npatch = 1\nwidth = 4096\ndepth = 48',
        "[pretraining]",
        ("pretraining.schedule.batch: is too large: a cell would need about", "GB of memory", "at most 256 GB"),
    ),
    "arms without end": (
        "replicates = 6",
        "replicates = 10000",
        "replicates",
        ("replicates: is 10000; with 32 combinations of levels that makes 320000 arms",),
    ),
    "combinations without end": (
        "[[estimands]]",
        "".join(f'[factors.f{i}]\nkey = "finetuning.protocol.draws"\nlevels = {list(range(1, 90))}\n' for i in range(3))
        + "[[estimands]]",
        "[factors.pretraining]",
        ("factors: make 22559",),
    ),
    "key that says more": (
        'key = "finetuning.labels"',
        'key = "finetuning.labels = 3 #"',
        "= 3 #",
        ("factors.labels.key: 'finetuning.labels = 3 #' is not a key",),
    ),
    "subgroup that is no name": (
        'subgroups = ["light", "dark"]',
        'subgroups = [[], "dark"]',
        "[[]",
        ("estimands[0].subgroups[0]: is an empty array; has to be text",),
    ),
    "control character": ('"Skin tone in', '"\\u001b[2J', "title", ("title: has the control character '\\x1b'",)),
    "number of a thousand digits": (
        "seed = 20261123",
        "seed = 0x" + "F" * 1000,
        "seed",
        ("seed: a number has too many",),
    ),
    "same level twice": ("[50, 200, 1000,", "[50, 200, 50,", "50, 200", ("levels[2]: has the label 50 of level 0",)),
    "same content twice": (
        "{ light = 0.5, dark = 0.5 } } },",
        "{ light = 1.0, dark = 0.0 } } },",
        "50/50",
        ("sets exactly what level 0 ('all light') sets",),
    ),
    "level out of range": (
        "[50, 200,",
        "[50, -3, 200,",
        "-3",
        ("factors.labels.levels[1]: is -3; has to be at least 4",),
    ),
    "level of no kind": (
        '["linear_probe", "full"]',
        '["linear_probe", "ful"]',
        '"ful"',
        ("factors.protocol.levels[1]: there is no kind 'ful'", "did you mean full?"),
    ),
    "level that breaks another key": (
        '{ "pretraining.objective" = "scratch" }',
        '{ "pretraining.cohort" = 16 }',
        '"scratch"',
        ("levels[3]: with this level, pretraining.schedule.batch",),
    ),
    "numbers and names": ("[50, 200,", '[50, "many",', "many", ("factors.labels.levels: mixes numbers and names",)),
    "factor over nothing": (
        "finetuning.labels",
        "finetuning.lables",
        "lables",
        ("factors.labels.key: finetuning.lables does not exist", "did you mean labels?"),
    ),
    "factor over the evaluation": (
        "finetuning.labels",
        "evaluation.test",
        "evaluation.test",
        ("is the same for all arms", "allowed: generator, encoder, pretraining, finetuning"),
    ),
    "factor without key": (
        'key = "finetuning.labels"\n',
        "",
        "[50,",
        ("factors.labels.levels[0]: needs the factor's key",),
    ),
    "two factors, one key": (
        'key = "finetuning.protocol"',
        'key = "finetuning.labels"',
        'key = "finetuning.labels"\nlevels = ["l',
        ("factors.protocol.key: finetuning.labels is already set by the factor labels",),
    ),
    "factor called as a dim": (
        "[factors.labels]",
        "[factors.draw]",
        "factors.draw",
        ("the cube uses this name itself",),
    ),
    "factor with a space": ("[factors.labels]", '[factors."a b"]', "a b", ("lower-case letters, digits and _",)),
    "scale with a bad value": (
        "cohort = 100000",
        "cohort = 1",
        "cohort = 1\n",
        ("scale.paper.pretraining.cohort: is 1; has to be at least 16",),
    ),
}
"""Mistake -> text of the example, its replacement, a fragment of the line of the problem, parts of the message."""
