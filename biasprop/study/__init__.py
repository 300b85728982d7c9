"""Study files: TOML in, a valid study out, and from it the cells and arms to run.

In reading order; :mod:`.load` calls the stages that lead from a file to a study:

1. :mod:`.source` parses the text; :mod:`.toml_lines` finds the line of every key, :mod:`.location` is a key as a path.
2. :mod:`.overrides` applies ``--scale``, ``--set`` and ``--replicates`` to the parsed tables.
3. :mod:`.conditions`, :mod:`.factors`, :mod:`.sample` and :mod:`.study` define a study: one condition, what is varied,
   what is drawn for each replicate, the whole.
4. :mod:`.atoms` puts subgroups in the place of groups.
5. :mod:`.validate` makes a study of the tables, or lists every problem, by the :mod:`.checks`; :mod:`.problems`
   defines a problem, :mod:`.messages` its text. :mod:`.schema` writes the JSON schema, for editors.
6. :mod:`.smoke` makes the numbers small.

From a study, :mod:`.digest` names its store, :mod:`.design` makes cells and arms, :mod:`.coords` describes levels in
the cube, :mod:`.arm_status` reads what the store has of the arms, and :mod:`.plan` estimates a run from the
:mod:`.timings` of this machine.

This room holds no science and no arrays; importing it loads neither JAX's compiler nor zarr.
"""
