# %% [markdown]
# # A study in a notebook
#
# How much of a skew in pretraining is left after balanced fine-tuning? This notebook runs the smallest version of a
# study in about a minute, too small for its numbers to mean anything, and looks at the results.
#
# Each `# %%` starts a cell: VS Code, PyCharm and Spyder run this file cell by cell, and Jupytext opens it in Jupyter.

# %%
import biasprop

study = biasprop.load_study("gaussian_control.toml", smoke=True)
study

# %% [markdown]
# `run_study` computes what the store does not have yet, shows its progress here, and opens the cube: an
# `xarray.Dataset` of scores.

# %%
cube = biasprop.run_study(study, "results")
cube.sizes

# %% [markdown]
# Estimates, with the intervals and margins that decide their verdicts.

# %%
store = study.store("results")
found = biasprop.estimates(store)
found

# %% [markdown]
# Any measure over one or two factors, drawn on axes of your own.

# %%
from matplotlib import pyplot

figure, axes = pyplot.subplots(1, 2, figsize=(9, 3), layout="constrained")
factors = list(study.factors)
at = {name: study.levels(name)[0].label for name in factors[1:]}
for ax, measure in zip(axes, ("z_gap", "separability"), strict=True):
    biasprop.plot(store, measure, factors[0], at=at, ax=ax)

# %% [markdown]
# Scores of any model are audited the same way, without a simulation.

# %%
arm = cube.isel({name: 0 for name in factors} | {"replicate": 0, "draw": 0})
people = arm.score.transpose("subject", "subgroup").values
biasprop.audit_scores(
    people.ravel(),
    arm.label.values.repeat(people.shape[1]),
    list(arm.subgroup.values) * len(people),
    score_is="log-odds",
    threshold=0.0,
    margin={"auc": 0.05},
)
