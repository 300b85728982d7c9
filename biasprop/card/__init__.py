"""`python -m biasprop.card [TABLE]`: four questions before a model is adopted, answered with intervals and counts.

The questions are its scope, whose data it has seen, how it does in subgroups, and how many labels it needs; see the
README. ``arguments`` has the options, those of an audit included. ``facts`` reads what others state, ``unknown_groups``
says which stated groups the table lacks, ``flags`` says of each gap of an audit whether it is flagged or cleared,
``embeddings`` reads features, ``label_curve`` fits probes to them, ``studies`` reads a store of this package and knows
which of its studies resemble a case; only the last two load JAX. ``answers`` puts it all into a :class:`.answers.Card`;
``document`` lays it out in the blocks of :mod:`biasprop.html`, which are written as an HTML page, or by ``markdown`` as
Markdown. ``standards`` maps fields to items of reporting standards.

What is not stated is *not stated*, never a default, and text of others is data in every output.
"""
