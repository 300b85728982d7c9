"""HTML of reports and of notebooks, made of a few kinds of blocks; no JAX.

:mod:`.blocks` has the kinds: paragraphs, tables, interval bars, pictures, description lists, code, folded blocks,
progress bars, and the page that holds them in sections. A block is data; its template in ``templates/`` has its name
and is the only place with markup. ``str(block)`` is its HTML, :func:`.templates.fragment` that of several, styled, for
a notebook.

All text is data: :mod:`.templates` escapes it, and shows characters that are not printable as escapes. A page needs
nothing from elsewhere and runs no script; its content security policy forbids both.

To add a kind of block, write a class in :mod:`.blocks` and a template of its name.
"""
