"""Mistakes in the estimands of a study file, as in ``bad_studies``."""

from __future__ import annotations

SECONDARY = """[[estimands]]
name = "gap {0}"
kind = "gap"
subgroups = ["light", "dark"]
secondary = true  # number {0}

"""

CASES: dict[str, tuple[str, str, str, tuple[str, ...]]] = {
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
    "candidate that is not there": (
        'kind = "swap_contrast"\nsubgroups = ["light", "dark"]\nfactor = "pretraining"\n'
        'skewed = ["all light", "all dark"]\nat = { labels = 200',
        'kind = "difference_from_best"\nsubgroup = "dark"\nfactor = "pretraining"\nlevel = "50/50"\n'
        'candidates = ["all light",\n "all drak"]\nat = { labels = 200',
        "all drak",
        ("estimands[0].candidates[1]: the factor pretraining has no level 'all drak'", "did you mean all dark?"),
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
        ("a best_minus_worst has no verdict, so it cannot be primary",),
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
}
"""As ``bad_studies.CASES``."""
