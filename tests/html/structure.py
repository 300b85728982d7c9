"""What holds for every page: balanced tags, headings in order, labels, and nothing from elsewhere."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from html.parser import HTMLParser

VOID = {"meta", "img", "br", "hr", "input", "link"}
"""Elements without an end."""
DRAWN = {"rect", "line", "path", "circle"}
"""Elements of an SVG that end themselves."""
LANDMARKS = ("header", "nav", "main", "footer")
FORBIDDEN = {"script", "link", "iframe", "object", "embed", "base", "form", "foreignobject"}
ADDRESSES = {"src", "href", "xlink:href", "action", "data", "srcset", "poster"}


class Document(HTMLParser):
    """Elements of a page in order, and what is wrong with how they nest."""

    def __init__(self, text: str):
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.problems: list[str] = []
        self.open: list[str] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()
        self.problems += [f"<{tag}> is not closed" for tag in self.open]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in DRAWN:
            self.problems.append(f"<{tag}/>: HTML does not know an empty {tag}")

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.problems.append(f"</{tag}> at {self.getpos()} closes something else")

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] != "style":
            self.text.append(data)

    def named(self, tag: str) -> list[dict[str, str]]:
        """Attributes of all elements with this name."""
        return [attributes for name, attributes in self.elements if name == tag]


def fragment_problems(text: str) -> Iterator[str]:
    """What is wrong with HTML that stands anywhere."""
    document = Document(text)
    yield from document.problems
    for tag, attributes in document.elements:
        if tag in FORBIDDEN:
            yield f"<{tag}>"
        for name, value in attributes.items():
            if name.startswith("on"):
                yield f"{tag} {name}={value!r}: a script"
            if name in ADDRESSES and not value.startswith(("#", "data:image/svg+xml;base64,")):
                yield f"{tag} {name}={value!r}: from elsewhere"
        if tag == "img" and not attributes.get("alt", "").strip():
            yield "img without alt"
        if tag == "svg" and not (attributes.get("role") == "img" and attributes.get("aria-label")):
            yield "svg without a label"
        if tag == "th" and attributes.get("scope") not in ("row", "col"):
            yield "th without scope"
    tables = len(document.named("table"))
    if tables != len(document.named("caption")) or tables != len(document.named("thead")):
        yield "a table without caption or head"
    styles = "".join(re.findall(r"<style>(.*?)</style>", text, re.DOTALL))
    if re.search(r"url\(|@import|https?:", styles):
        yield "the style sheet needs something from elsewhere"
    if bad := re.findall(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text):
        yield f"characters that are not printable: {bad[:5]}"


def page_problems(text: str) -> Iterator[str]:
    """What is wrong with a whole page."""
    yield from fragment_problems(text)
    document = Document(text)
    if not text.startswith("<!doctype html>"):
        yield "no doctype"
    if [one.get("lang") for one in document.named("html")] != ["en"]:
        yield "no language"
    if "default-src 'none'" not in "".join(one.get("content", "") for one in document.named("meta")):
        yield "no content security policy"
    for tag in (*LANDMARKS, "h1", "title"):
        if len(document.named(tag)) != 1:
            yield f"{len(document.named(tag))} <{tag}>, not one"
    levels = [int(tag[1]) for tag, _ in document.elements if re.fullmatch("h[1-6]", tag)]
    if levels[:1] != [1] or any(after > before + 1 for before, after in itertools.pairwise(levels)):
        yield f"headings out of order: {levels}"
    ids = [attributes["id"] for _, attributes in document.elements if "id" in attributes]
    if len(set(ids)) != len(ids):
        yield f"ids that are not unique: {sorted({one for one in ids if ids.count(one) > 1})}"
    referred = {one["href"][1:] for one in document.named("a")}
    referred |= {
        attributes["aria-labelledby"] for _, attributes in document.elements if "aria-labelledby" in attributes
    }
    if referred - set(ids):
        yield f"references to nothing: {referred - set(ids)}"
    first = next(attributes for tag, attributes in document.elements if tag == "a")
    if first.get("class") != "skip":
        yield "the first link does not skip to the content"
