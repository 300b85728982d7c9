"""What may be wrong with a file of a user: one table of mutations for each kind of content, and two for all files.

A mutation of a table changes names and cells, whatever format they are written in; one of text, arrays, zarr, pictures,
DICOM, NIfTI or TOML changes what only that format has; one of bytes or of the file itself fits every format. Each says
where it has changed what, so that a message can be compared with it, and whether a command that reads the place has to
refuse it.
"""
