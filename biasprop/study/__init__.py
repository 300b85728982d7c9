"""Study files: TOML in, a validated study out, and from it the cells and arms that are run.

Reading order: :mod:`.load` is the way of a file to a study, step by step. :mod:`.source` parses the text and keeps line
numbers, :mod:`.study` and :mod:`.conditions` define what a study may say, :mod:`.factors` reads the levels,
:mod:`.consistency` checks what parts of a study must agree on, :mod:`.problems` puts whatever is wrong into words,
:mod:`.smoke` makes the numbers small. :mod:`.digest` names what the numbers depend on. :mod:`.design` makes cells and
arms, :mod:`.plan` says what a run would do, by the :mod:`.timings` of this machine.

No science and no array is in here, and importing it loads neither JAX's compiler nor a store.
"""
