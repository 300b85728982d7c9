"""Results on disk: the cube of one study, the encoders that studies share, and files that survive a kill.

``results/<study>-<digest>/`` is a store. In it lie ``cube.zarr`` (a zarr v3 group that any zarr reader opens, with
coordinates, CF attributes and consolidated metadata), ``metadata.json`` (a copy of the group's metadata),
``events.jsonl``, ``ledger.json``, the lock and the folders ``fingerprints``, ``cache``, ``figures`` and ``locks``.

What holds at any moment, whatever is killed, full or damaged:

- The store opens. It is made in one step, and grows by levels, replicates and draws without touching stored arms.
- Everyone sees the same part of it: the study as it was last run, by ``open_cube`` alone, or what ``layout.shared`` has
  of a study at hand. Nothing is deleted from a store, so what the study no longer has is named as left out.
- An arm is stored once its status is written, which comes last; every arm has a checksum.
- Damage is found, named and mended: metadata from its copy, arms by computing them again. Nothing is written through a
  link, and nothing is read, unpacked or allocated beyond what an arm has.

Reading order: :mod:`.variables` (the table of what an arm stores), :mod:`.layout` (names, sizes and growth),
:mod:`.coordinates`, :mod:`.metadata` (the group's files apart from arms, and their copy), :mod:`.group` (opens the
group checked, reads and writes arms), :mod:`.integrity` (checksums), :mod:`.store` (all of it together: ``Store``),
:mod:`.view` (``open_cube``), :mod:`.netcdf`. Beside the group: :mod:`.fingerprints`, :mod:`.event_log`,
:mod:`.ledger`. :mod:`.encoders` keeps pretrained parameters. :mod:`.safe_files`, :mod:`.json_cache` and
:mod:`.file_lock` read, write and lock single files.

To add a stored variable, add a line to ``variables.DATA`` and its function to ``execution.variables``. Coordinates,
checksums, masking and every reader follow from the table. Stores made before lack it: raise ``metadata.FORMAT``.
To add a coordinate, add it to :mod:`biasprop.study.coords`; it needs no new format.

Attributes of the group are text and numbers, which netCDF can hold too; ``overrides``, ``versions``, ``estimands`` (a
dated history), ``ledger`` and ``left_out`` (in ``open_cube``) and ``biasprop`` (the store's own: format, layout, and
the levels and replicates of the study as it was last run) are JSON text.
Nothing in here needs JAX.
"""
