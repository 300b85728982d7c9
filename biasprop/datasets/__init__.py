"""Data that people bring along: pictures, embeddings, and a table of whose they are.

:func:`.people.read` turns a :class:`.people.Files` (a table with columns for attributes, target, person and split) into
:class:`.people.People`: part, person, subgroup and label of every row. :mod:`.pixels` adds the pictures and embeddings
of these rows as arrays; :mod:`.pictures` reads image files, :mod:`.features` files of embeddings (also for
:mod:`biasprop.card`), :mod:`.arrays` .npz, .npy and zarr, with sizes checked before anything is read. Files are read
once and kept in the user's cache folder with a digest of their contents. No JAX.

What a table needs, and how the tables of public data sets are used, is in the README of this folder.
"""
