"""Markdown to the two parts of a mail: HTML as a person's mail program would write it, and plain text.

Both come from the same source. `fill` puts values in after the Markdown was read, so no value can become markup: it is
given as a mark (`mark(3)`) in the source and stands in the result as escaped text, or percent-encoded inside a link.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from css_inline import CSSInliner
    from markdown_it import MarkdownIt
    from markdown_it.tree import SyntaxTreeNode

_OPEN, _CLOSE = "\ue000", "\ue001"
_MARK = re.compile("\ue000(?P<plain>[0-9]+)\ue001|(?P<scheme>mailto:)?%EE%80%80(?P<coded>[0-9]+)%EE%80%81")
_CODED_MARK = re.compile("%EE%80%80([0-9]+)%EE%80%81")
_MARK_CHARACTERS = re.compile("[\ue000\ue001]")
_TAGS = {"p", "br", "strong", "em", "a", "ul", "ol", "li", "blockquote", "code", "pre", "h1", "h2", "h3", "h4", "hr"}
_ATTRIBUTES: dict[str, set[str]] = {"*": set(), "a": {"href"}, "ol": {"start"}}
_SCHEMES = {"http", "https", "mailto", "tel"}
_STYLE = """
body { font-family: Calibri, Arial, Helvetica, sans-serif; font-size: 11pt; }
p, ul, ol, pre { margin: 0 0 11pt 0; }
blockquote { margin: 0 0 11pt 0; padding-left: 8pt; border-left: 1pt solid #cccccc; }
h1, h2, h3, h4 { font-size: 12pt; margin: 0 0 6pt 0; }
"""


def mark(number: int) -> str:
    """The place of value `number` in a Markdown source."""
    return f"{_OPEN}{number}{_CLOSE}"


def without_marks(text: str) -> str:
    """`text` without the characters that marks are made of, for sources and values."""
    return _MARK_CHARACTERS.sub("", text)


def fill(text: str, values: Sequence[str], escape: Callable[[str], str] = str) -> str:
    """Put the values where their marks are. A value is never read again, so a mark inside one stays text."""

    def value_of(found: re.Match[str]) -> str:
        if found["plain"]:
            return escape(values[int(found["plain"])])
        return (found["scheme"] or "") + quote(values[int(found["coded"])], safe="@" if found["scheme"] else "")

    return _MARK.sub(value_of, text)


def to_html(source: str, values: Sequence[str], language: str) -> str:
    """A whole HTML document: cleaned, without scripts, images and remote things, styles written into the tags."""
    import nh3

    body = fill(_reader().render(source), values, html.escape)
    clean = nh3.clean(
        body, tags=_TAGS, attributes=_ATTRIBUTES, url_schemes=_SCHEMES, url_relative="deny", link_rel=None
    )
    head = f'<!DOCTYPE html><html lang="{html.escape(language)}"><head><meta charset="utf-8"></head>'
    return _inliner().inline(f"{head}<body>{clean}</body></html>")


def to_text(source: str, values: Sequence[str]) -> str:
    """Plain text: "text <link>", lists and quotes kept, emphasis marks gone; ends with a line break."""
    from markdown_it.tree import SyntaxTreeNode

    tree = SyntaxTreeNode(_reader().parse(source))
    return fill("\n".join(_join(tree.children, loose=True)), values).strip() + "\n"


@lru_cache(maxsize=1)
def _reader() -> MarkdownIt:
    """CommonMark without HTML and images. A line break in the source is one in the mail, as when typing."""
    from markdown_it import MarkdownIt

    class Reader(MarkdownIt):
        def normalizeLink(self, url: str) -> str:
            return _coded(url) if _OPEN in url else super().normalizeLink(url)

    return Reader("commonmark", {"html": False, "linkify": False, "breaks": True}).disable("image")


@lru_cache(maxsize=1)
def _inliner() -> CSSInliner:
    from css_inline import CSSInliner

    return CSSInliner(extra_css=_STYLE, load_remote_stylesheets=False)


def _coded(url: str) -> str:
    """A link's address with a mark inside: percent-encoding only, because IDNA would take the mark apart."""
    return quote(url, safe=":/?#[]@!$&'()*+,;=%~")


def _join(nodes: Sequence[SyntaxTreeNode], *, loose: bool) -> list[str]:
    """The lines of several blocks, an empty line between them if `loose`."""
    lines: list[str] = []
    for node in nodes:
        block = list(_block(node))
        if lines and loose and block:
            lines.append("")
        lines += block
    return lines


def _block(node: SyntaxTreeNode) -> Iterator[str]:
    """The lines of one block."""
    if node.type in ("paragraph", "heading"):
        yield from "".join(_inline(node.children[0])).split("\n")
    elif node.type in ("bullet_list", "ordered_list"):
        yield from _list(node)
    elif node.type == "blockquote":
        yield from (f"> {line}".rstrip() for line in _join(node.children, loose=True))
    elif node.type in ("fence", "code_block"):
        yield from node.content.rstrip("\n").split("\n")
    elif node.type == "hr":
        yield "-" * 20


def _list(node: SyntaxTreeNode) -> Iterator[str]:
    number = int(node.attrs.get("start", 1)) if node.type == "ordered_list" else 0
    paragraphs = [child for item in node.children for child in item.children if child.type == "paragraph"]
    loose = any(not paragraph.hidden for paragraph in paragraphs)
    for index, item in enumerate(node.children):
        bullet = f"{number + index}. " if node.type == "ordered_list" else "- "
        if index and loose:
            yield ""
        for position, line in enumerate(_join(item.children, loose=loose) or [""]):
            yield (f"{' ' * len(bullet)}{line}" if position else f"{bullet}{line}").rstrip()


def _inline(node: SyntaxTreeNode) -> Iterator[str]:
    """The text of inline content."""
    if node.type in ("softbreak", "hardbreak"):
        yield "\n"
    elif node.type == "link":
        yield _link("".join(text for child in node.children for text in _inline(child)), str(node.attrs["href"]))
    elif node.children:
        for child in node.children:
            yield from _inline(child)
    else:
        yield node.content


def _link(text: str, address: str) -> str:
    scheme, _, rest = address.partition(":")
    shown = _CODED_MARK.sub(lambda found: mark(int(found[1])), rest) if scheme in ("mailto", "tel") else address
    return text if text.rstrip("/") == shown.rstrip("/") else f"{text} <{shown}>"
