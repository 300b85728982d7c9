"""Results on disk: the cube of one study, the encoders that studies share, and files that survive a kill.

:mod:`.store` writes and checks arms, :mod:`.view` opens a store as an ``xarray.Dataset``, :mod:`.variables` is the table
of what an arm stores; a new stored quantity is one line there. Everything else is a detail of these: :mod:`.layout`
(sizes and growth), :mod:`.zarr_arrays`, :mod:`.documents`, :mod:`.attributes`, :mod:`.integrity`, :mod:`.fingerprints`,
:mod:`.event_log`, :mod:`.netcdf`. :mod:`.encoders` keeps pretrained parameters. :mod:`.safe_files`, :mod:`.json_cache`
and :mod:`.file_lock` read, write and lock single files. Nothing in here needs JAX.
"""
