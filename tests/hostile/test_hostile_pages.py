"""Names in Markdown are plain text."""

from __future__ import annotations

import pytest

from paper import markdown
from tests.hostile.test_hostile_names import NASTY, READER


def seen(text: str) -> str:
    """What a reader sees of Markdown; nothing but plain text may be in it."""
    found = []
    for block in READER.parse(text):
        for token in block.children or ():
            assert token.type in ("text", "softbreak", "text_special"), (token.type, text)
            found.append(" " if token.type == "softbreak" else token.content)
    return "".join(found)


@pytest.mark.parametrize("name", NASTY)
def test_pages_show_the_names(name: str) -> None:
    assert seen(f"# {markdown.escaped(name)}") == name
    assert seen(markdown.table([name, "x"], [], left=(0,))) == f"{name}x"
    text = f"{name} is +0.1 [+0.0, +0.2], {name}"
    assert seen(markdown.prose(text)) == text and "\\[" not in markdown.prose("x [+0.0, +0.2]")
    assert READER.parse(markdown.prose(text))[0].type == "paragraph_open"
    assert READER.render(markdown.code(name)).count("<code>") == 1
    (line,) = READER.parseInline(markdown.link(name, f"a{name}.png", image=True))
    assert [part.type for part in line.children or ()] == ["image"]
