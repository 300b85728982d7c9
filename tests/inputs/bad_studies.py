"""Mistakes in a study file, one by one, each with the line and the words that its message has to have."""

from __future__ import annotations

from pathlib import Path

EXAMPLE = (Path(__file__).parent / "example.toml").read_text()


def changed(old: str, new: str) -> str:
    """The example with its first ``old`` replaced."""
    assert old in EXAMPLE
    return EXAMPLE.replace(old, new, 1)


SECONDARY = """[[estimands]]
name = "gap {0}"
kind = "gap"
subgroups = ["light", "dark"]
secondary = true  # number {0}

"""

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
    "unknown subgroup": (
        'subgroups = ["light", "dark"]',
        'subgroups = ["light", "drak"]',
        "drak",
        ("estimands[0].subgroups[1]: there is no subgroup 'drak'", "did you mean dark?"),
    ),
    "subgroup with itself": ('["light", "dark"]', '["dark", "dark"]', "[[estimands]]", ("two different subgroups",)),
    "unknown level": (
        '["all light", "all dark"]',
        '["all lihgt", "all dark"]',
        "lihgt",
        ("estimands[0].skewed[0]: the factor pretraining has no level 'all lihgt'", "did you mean all light?"),
    ),
    "levels the wrong way round": (
        '["all light", "all dark"]',
        '["all dark", "all light"]',
        '["all dark"',
        ("has a share of 0 of light", "the first has to be the level skewed to light"),
    ),
    "arm at no level": (
        "at = { labels = 200",
        "at = { labels = 201",
        "201",
        ("estimands[0].at.labels: the factor labels has no level 201",),
    ),
    "arm at no factor": ('protocol = "full" }', 'protocl = "full" }', "protocl", ("did you mean protocol?",)),
    "several primary estimates": (
        "at = { labels = 200, protocol",
        "at = { protocol",
        "at = { protocol",
        ("the primary estimand has to be one number; fix labels in at",),
    ),
    "no primary": (
        "primary = true\n",
        "",
        "[[estimands]]",
        ("estimands: no estimand is primary", "exploratory = true for the study"),
    ),
    "a primary in an exploratory study": (
        "replicates = 6",
        "replicates = 6\nexploratory = true",
        "primary = true",
        ("estimands[0].primary: the study is exploratory, so no estimand is tested",),
    ),
    "two primaries": (
        'name = "everywhere"',
        'primary = true\nname = "everywhere"',
        'primary = true\nname = "everywhere"',
        ("estimands[1].primary: estimand 0 is primary already",),
    ),
    "six secondaries": (
        '[[estimands]]\nname = "retention"',
        "".join(map(SECONDARY.format, range(6))) + '[[estimands]]\nname = "retention"',
        "secondary = true  # number 5",
        ("estimands[7].secondary: 5 estimands are secondary already",),
    ),
    "primary and secondary": (
        "primary = true\n",
        "primary = true\nsecondary = true\n",
        "[[estimands]]",
        ("estimands[0]: cannot be primary and secondary at once",),
    ),
    "secondary without a verdict": (
        'name = "everywhere"\nkind = "swap_contrast"',
        'name = "everywhere"\nsecondary = true\nbudget = "labels"\nkind = "halving_budget"',
        '[[estimands]]\nname = "everywhere"',
        ("estimands[1]: a halving_budget has no verdict, so it cannot be secondary",),
    ),
    "one name twice": (
        'name = "everywhere"',
        'name = "swap contrast"',
        'name = "swap contrast"\nkind = "swap_contrast"\nsubgroups = ["light", "dark"]\nfactor = "pretraining"\n'
        'skewed = ["all light", "all dark"]\n\n',
        ("estimands[1].name: 'swap contrast' is also the name of an earlier estimand",),
    ),
    "unknown estimand": ('"swap_contrast"', '"swap_contrst"', "contrst", ("excess_gap", "did you mean swap_contrast?")),
    "estimand without factor": (
        'factor = "pretraining"\n',
        "",
        "[[estimands]]",
        ("estimands[0].factor: is missing and has no default (the factor the contrast runs over",),
    ),
    "estimand without kind": (
        'kind = "swap_contrast"\n',
        "",
        "[[estimands]]",
        ("estimands[0]: its kind is missing; allowed: gap, interaction",),
    ),
    "key of another kind": (
        'factor = "pretraining"\n',
        'factor = "pretraining"\nreference = "50/50"\n',
        "reference",
        ("estimands[0].reference: there is no such key here; allowed:", "skewed"),
    ),
    "unknown scale": (
        'factor = "pretraining"\n',
        'factor = "pretraining"\nscale = "brir"\n',
        "brir",
        ("estimands[0].scale: is 'brir'", "did you mean brier?"),
    ),
    "scale without a margin": (
        "margin = 0.10\n",
        'scale = "brier"\n',
        "[[estimands]]",
        ("estimands[0]: a primary estimand needs a margin, and the scale brier has no default; give margin",),
    ),
    "primary difference in every subgroup": (
        'kind = "swap_contrast"\nsubgroups = ["light", "dark"]\nfactor = "pretraining"\n'
        'skewed = ["all light", "all dark"]\nat = { labels = 200',
        'kind = "difference"\nminus = { labels = 50 }\nat = { pretraining = "50/50", labels = 200',
        "[[estimands]]",
        ("estimands[0]: the primary estimand has to be one number; give its subgroup; allowed: light, dark",),
    ),
    "difference from an arm that is not there": (
        'kind = "swap_contrast"\nsubgroups = ["light", "dark"]\nfactor = "pretraining"\n'
        'skewed = ["all light", "all dark"]\nat = { labels = 200',
        'kind = "difference"\nsubgroup = "drak"\nminus = { labels = 51 }\nat = { pretraining = "50/50", labels = 200',
        "minus",
        ("estimands[0].minus.labels: the factor labels has no level 51",),
    ),
    "joint effect of a level that is not there": (
        'kind = "swap_contrast"\nsubgroups = ["light", "dark"]\nfactor = "pretraining"\n'
        'skewed = ["all light", "all dark"]\nat = { labels = 200',
        'kind = "joint_effect"\nsubgroup = "dark"\nfactor = "pretraining"\nboth = "scratch"\n'
        'single = ["all light",\n "all drak"]\nneither = "50/50"\nat = { labels = 200',
        "all drak",
        ("estimands[0].single[1]: the factor pretraining has no level 'all drak'", "did you mean all dark?"),
    ),
    "joint effect of one level twice": (
        'kind = "swap_contrast"\nsubgroups = ["light", "dark"]\nfactor = "pretraining"\n'
        'skewed = ["all light", "all dark"]\nat = { labels = 200',
        'kind = "joint_effect"\nsubgroup = "dark"\nfactor = "pretraining"\nboth = "scratch"\n'
        'single = ["all light", "all dark"]\nneither = "all dark"\nat = { labels = 200',
        "[[estimands]]",
        ("both, single and neither must be four different levels: single[1] and neither are 'all dark'",),
    ),
    "primary joint effect in every subgroup": (
        'kind = "swap_contrast"\nsubgroups = ["light", "dark"]\nfactor = "pretraining"\n'
        'skewed = ["all light", "all dark"]\nat = { labels = 200',
        'kind = "joint_effect"\nfactor = "pretraining"\nboth = "scratch"\n'
        'single = ["all light", "all dark"]\nneither = "50/50"\nat = { labels = 200',
        "[[estimands]]",
        ("estimands[0]: the primary estimand has to be one number; give its subgroup; allowed: light, dark",),
    ),
    "best of a subgroup that is not there": (
        'name = "everywhere"\nkind = "swap_contrast"\nsubgroups = ["light", "dark"]\nfactor = "pretraining"\n'
        'skewed = ["all light", "all dark"]\n',
        'name = "everywhere"\nkind = "best_minus_worst"\nsubgroups = ["light", "drak"]\n',
        "drak",
        ("estimands[1].subgroups[1]: there is no subgroup 'drak'", "did you mean dark?"),
    ),
    "best of one subgroup twice": (
        'name = "everywhere"\nkind = "swap_contrast"\nsubgroups = ["light", "dark"]\nfactor = "pretraining"\n'
        'skewed = ["all light", "all dark"]\n',
        'name = "everywhere"\nkind = "best_minus_worst"\nsubgroups = ["light", "light"]\n',
        '[[estimands]]\nname = "everywhere"',
        ("subgroups must be different; light is named more than once",),
    ),
    "primary best minus worst": (
        'kind = "swap_contrast"\nsubgroups = ["light", "dark"]\nfactor = "pretraining"\n'
        'skewed = ["all light", "all dark"]\nat = { labels = 200',
        'kind = "best_minus_worst"\nat = { pretraining = "50/50", labels = 200',
        "[[estimands]]",
        ("a best_minus_worst has no test, so it cannot be primary",),
    ),
    "difference in no subgroup": (
        'kind = "swap_contrast"\nsubgroups = ["light", "dark"]\nfactor = "pretraining"\n'
        'skewed = ["all light", "all dark"]\nat = { labels = 200',
        'kind = "difference"\nsubgroup = "drak"\nminus = { labels = 50 }\nat = { pretraining = "50/50", labels = 200',
        "drak",
        ("estimands[0].subgroup: there is no subgroup 'drak'", "did you mean dark?"),
    ),
    "difference from itself": (
        'kind = "swap_contrast"\nsubgroups = ["light", "dark"]\nfactor = "pretraining"\n'
        'skewed = ["all light", "all dark"]\nat = { labels = 200',
        'kind = "difference"\nsubgroup = "dark"\nminus = { labels = 200 }\nat = { pretraining = "50/50", labels = 200',
        "[[estimands]]",
        ("estimands[0]: at must not be the arm that is subtracted",),
    ),
    "amplification at the largest budget": (
        'kind = "swap_contrast"\nsubgroups = ["light", "dark"]\nfactor = "pretraining"\n'
        'skewed = ["all light", "all dark"]\nat = { labels = 200',
        'kind = "amplification"\nbudget = "labels"\nsubgroups = ["light", "dark"]\nfactor = "pretraining"\n'
        'skewed = ["all light", "all dark"]\nat = { labels = 5000',
        "at = { labels = 5000",
        ("estimands[0].at.labels: is 5000, the largest budget, which is the reference: 0 by definition",),
    ),
    "exchange rate the wrong way round": (
        'kind = "swap_contrast"\nsubgroups = ["light", "dark"]\nfactor = "pretraining"\n'
        'skewed = ["all light", "all dark"]\nat = { labels = 200',
        'kind = "exchange_rate"\nbudget = "labels"\nsubgroups = ["light", "dark"]\nfactor = "pretraining"\n'
        'between = ["50/50", "all light"]\nat = { labels = 200',
        "between = [",
        ("estimands[0].between: '50/50' has a share of 0.5 of dark", "the level with the lower share of dark"),
    ),
    "exchange rate across a mix": (
        'kind = "swap_contrast"\nsubgroups = ["light", "dark"]\nfactor = "pretraining"\n'
        'skewed = ["all light", "all dark"]\nat = { labels = 200',
        'kind = "exchange_rate"\nbudget = "labels"\nsubgroups = ["light", "dark"]\nfactor = "pretraining"\n'
        'between = ["all light", "all dark"]\nat = { labels = 200',
        "between = [",
        ("estimands[0].between: 'all light' has a share of 0 of dark", "have to be neighbouring mixes, but "),
    ),
    "exchange rate of a mix with itself": (
        'kind = "swap_contrast"\nsubgroups = ["light", "dark"]\nfactor = "pretraining"\n'
        'skewed = ["all light", "all dark"]\nat = { labels = 200',
        'kind = "exchange_rate"\nbudget = "labels"\nsubgroups = ["light", "dark"]\nfactor = "pretraining"\n'
        'between = ["50/50", "50/50"]\nat = { labels = 200',
        "[[estimands]]",
        ("estimands[0]: between must be two different levels",),
    ),
    "scale with a bad value": (
        "cohort = 100000",
        "cohort = 1",
        "cohort = 1\n",
        ("scale.paper.pretraining.cohort: is 1; has to be at least 16",),
    ),
}
"""Mistake -> text of the example, its replacement, a fragment of the line of the problem, parts of the message."""
