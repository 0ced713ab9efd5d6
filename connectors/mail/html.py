"""HTML mail to text, with the quoted conversation and the signature kept apart where the mail program marked them.

A small tokenizer of our own: nothing is executed or fetched, there is no recursion and no tree, and every
character is looked at a bounded number of times, whatever the nesting or the missing end tags.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import unescape
from typing import Final, NamedTuple

from connectors.mail.html_marks import CUT, GMAIL, HIDDEN, PLAIN, QUOTE, SIGNED, WEAK, judge_tag
from connectors.mail.quotes import QUOTED, SIGNATURE, TEXT, ReplyParts, split_lines

# Text up to a tag, and the tag; possessive throughout, so nothing is ever looked at twice.
_TAG: Final = re.compile(
    r"([^<]*+)<(/?)([a-zA-Z][a-zA-Z0-9:-]{0,30}+)((?:[^>\"']++|\"[^\"]*+\"|'[^']*+')*+)>",
)
_LOOSE_TAG: Final = re.compile(r"([^<]*+)<(/?)([a-zA-Z][a-zA-Z0-9:-]{0,30}+)([^>]*+)>")
_ALT: Final = re.compile(r"\balt\s*=\s*[\"']([^\"'<>]{1,8})[\"']", re.IGNORECASE)
_FIELD_LIKE: Final = re.compile(r"[^\W\d_][^\d:@]{0,24}[:：]")
_INVISIBLE_MARKS: Final = ("\u200b", "\u200c", "\ufeff", "\u2060", "\xad")
_INVISIBLE: Final = str.maketrans("", "", "".join(_INVISIBLE_MARKS))

_RAW: Final = frozenset({"script", "style", "title", "template", "noframes", "iframe", "object", "svg", "select"})
_RAW_END: Final = {name: re.compile(rf"</{name}[\s>/]", re.IGNORECASE) for name in _RAW}
_BLOCKS: Final = frozenset(
    re.findall(
        r"\w+",
        "address article aside blockquote body center dd div dl dt fieldset figure footer form h1 h2 h3 h4 h5 "
        "h6 header hr html li main nav ol p pre section table tbody tfoot thead tr ul ",
    )
)
_PARAGRAPHS: Final = frozenset({"p", "h1", "h2", "h3", "h4", "h5", "h6"})
_MARKED: Final = frozenset({"div", "blockquote", "span", "hr", "pre", "table", "p", "section", "font"})

_BARE_MARKED: Final = frozenset({"blockquote", "hr"})
_HEEDED: Final = _BLOCKS | _MARKED | _RAW | {"br", "td", "th", "img"}


@dataclass(frozen=True, slots=True)
class HtmlText:
    """The text of an HTML body: new text, what is marked as quoted, what is marked as the signature."""

    text: str
    quoted: str
    signature: str


class _Rendered(NamedTuple):
    lines: list[str]
    marks: bytearray


def html_to_text(html: str) -> HtmlText:
    """Render an HTML body as lines of text. Total; linear in the length of the body.

    Only the marks of mail programs part the text here; `split_html` also reads the text itself.
    """
    rendered = _render(html)

    def pick(kind: int) -> str:
        return "\n".join(
            line for line, mark in zip(rendered.lines, rendered.marks, strict=True) if mark == kind
        ).strip()

    return HtmlText(text=pick(TEXT), quoted=pick(QUOTED), signature=pick(SIGNATURE))


def split_html(html: str) -> ReplyParts:
    """Split an HTML body into new text, quoted conversation and signature, by its marks and by its text."""
    rendered = _render(html)
    return split_lines(rendered.lines, rendered.marks)


def _render(html: str) -> _Rendered:
    page = _Page()
    _feed(page, _drop_invisible(html))
    return page.finish()


def _feed(page: _Page, html: str) -> None:
    """Cut the source into text and tags."""
    at, size, pattern = 0, len(html), _TAG
    last = html.rfind(">")
    endless: set[str] = set()
    while at < size:
        match = pattern.match(html, at)
        if match is None:
            at, pattern = _step_over(page, html, at, last, pattern)
            continue
        at = match.end()
        text, closing, name, attributes = match.groups()
        if text:
            page.add_text(text)
        name = name.lower()
        if name not in _HEEDED:
            continue
        if closing:
            page.close_tag(name)
        elif name not in _RAW:
            page.open_tag(name, attributes)
        elif name not in endless:
            after = _skip_raw(html, name, at)
            if after == at:
                endless.add(name)
            at = after


def _step_over(page: _Page, html: str, at: int, last: int, pattern: re.Pattern[str]) -> tuple[int, re.Pattern[str]]:
    """Handle what is not text and a well-formed tag: the end, a comment, a stray "<", a quote mark left open."""
    tag_at = html.find("<", at)
    if tag_at < 0 or tag_at > last:
        page.add_text(html[at:])
        return len(html), pattern
    if tag_at > at:
        page.add_text(html[at:tag_at])
    follower = html[tag_at + 1 : tag_at + 2]
    if follower and follower in "!?":
        return _skip_declaration(html, tag_at), pattern
    if pattern is _TAG and (follower == "/" or follower.isalpha()):
        # From here on tags end at the first ">", so that the search for the closing mark is done once.
        return tag_at, _LOOSE_TAG
    page.add_text("<")
    return tag_at + 1, pattern


def _skip_declaration(html: str, at: int) -> int:
    """Step over a comment, doctype, conditional or processing instruction; an open comment runs to the end."""
    if html.startswith("<!--", at):
        end = html.find("-->", at + 4 if not html.startswith("<!-->", at) else at + 2)
        return end + 3 if end >= 0 else len(html)
    end = html.find(">", at)
    return end + 1 if end >= 0 else len(html)


def _skip_raw(html: str, name: str, at: int) -> int:
    end = _RAW_END[name].search(html, at)
    if end is None:
        return len(html) if name in {"script", "style"} else at
    close = html.find(">", end.start())
    return close + 1 if close >= 0 else len(html)


class _Page:
    """The lines rendered so far, and the marked regions that are open."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.marks = bytearray()
        self.line: list[str] = []
        self.regions: list[list[int]] = []
        self.region_names: list[str] = []
        self.mode = TEXT
        self.hidden = False
        self.cut = False
        self.pre = 0
        self.gap = False
        self.tight = False
        self.bullet = False
        self.weak: list[int] = []
        self.verdicts: dict[str, int] = {}

    def add_text(self, chunk: str) -> None:
        if self.pre or self.hidden:
            if not self.hidden:
                self._add_preformatted(chunk)
        elif not chunk.isspace() or "\xa0" in chunk:
            self.line.append(_decode(chunk) if "&" in chunk else chunk)
        elif self.line:
            self.line.append(" ")

    def _add_preformatted(self, chunk: str) -> None:
        first, *rest = _decode(chunk).replace("\r\n", "\n").split("\n")
        if first:
            self.line.append(first)
        for part in rest:
            self.end_line(blank=True)
            if part:
                self.line.append(part)

    def end_line(self, *, blank: bool = False) -> None:
        """Finish the current line; with ``blank``, an empty line counts as well."""
        if not self.line:
            if blank:
                self._append("")
            return
        text = "".join(self.line)
        self.line.clear()
        text = text.rstrip() if self.pre else " ".join(text.split())
        if self.bullet and text:
            text, self.bullet = f"- {text}", False
        self._append(text)

    def _append(self, text: str) -> None:
        if text and self.gap and self.lines and self.lines[-1]:
            self.lines.append("")
            self.marks.append(self.mode)
        if text or (self.lines and self.lines[-1]):
            self.lines.append(text)
            self.marks.append(self.mode)
        self.gap = False

    def open_tag(self, name: str, attributes: str) -> None:
        if name == "br":
            if not self.hidden:
                self.end_line(blank=True)
            return
        if name in _BLOCKS:
            self._open_block(name, attributes)
        elif name in {"td", "th"}:
            if self.line:
                self.line.append(" ")
        elif name == "img":
            self._add_image(attributes)
        if name in _MARKED and (attributes or self.regions or name in _BARE_MARKED):
            self._open_region(name, attributes)

    def _open_block(self, name: str, attributes: str) -> None:
        self.end_line()
        if name in _PARAGRAPHS:
            self.tight = _is_tight(attributes)
            self.gap = self.gap or not self.tight
        elif name == "li":
            self.bullet = True
        elif name == "pre":
            self.pre += 1

    def _add_image(self, attributes: str) -> None:
        """Pictures are dropped, but for the little ones that stand for an emoji."""
        alt = _ALT.search(attributes) if len(attributes) < 2000 and "alt" in attributes else None
        if alt is not None and not self.hidden and not alt[1].isascii():
            self.line.append(alt[1])

    def _open_region(self, name: str, attributes: str) -> None:
        if self.regions:
            for region, region_name in zip(self.regions, self.region_names, strict=True):
                if region_name == name:
                    region[1] += 1
        kind = self._verdict(name, attributes)
        if not kind or kind == PLAIN or self.cut:
            return
        if kind in {CUT, WEAK}:
            self.end_line()
            if kind == CUT:
                self.cut = True
                self._set_mode()
            else:
                self.weak.append(len(self.lines))
            return
        if name == "hr" or (self.regions and self.regions[-1][0] >= kind):
            return
        self.end_line()
        # kind, open tags of that name, and for Gmail: whether its quote has been closed
        self.regions.append([kind, 1, 0])
        self.region_names.append(name)
        self._set_mode()

    def _verdict(self, name: str, attributes: str) -> int:
        if name in _BARE_MARKED:
            if not attributes:
                return WEAK if name == "hr" else QUOTE
            return judge_tag(name, attributes[:4096].lower()) or WEAK
        verdict = self.verdicts.get(attributes)
        if verdict is None:
            verdict = self.verdicts[attributes] = judge_tag(name, attributes[:4096].lower())
        return verdict

    def close_tag(self, name: str) -> None:
        if name in _BLOCKS:
            self.end_line()
            if name in _PARAGRAPHS:
                self.gap = self.gap or not self.tight
            elif name == "li":
                self.bullet = False
            if name == "pre" and self.pre:
                self.pre -= 1
        if not self.regions or name not in _MARKED:
            return
        closed = False
        for index in range(len(self.regions) - 1, -1, -1):
            if self.region_names[index] == name:
                self.regions[index][1] -= 1
                closed = closed or self.regions[index][1] == 0
        if closed:
            self._close_regions()

    def _close_regions(self) -> None:
        self.end_line()
        for index, region in enumerate(self.regions):
            if region[1] <= 0:
                if region[0] == QUOTE and self.region_names[index] == "blockquote":
                    for outer in self.regions[:index]:
                        outer[2] = 1
                del self.regions[index:]
                del self.region_names[index:]
                break
        self._set_mode()

    def _set_mode(self) -> None:
        kinds = {region[0] for region in self.regions if not (region[0] == GMAIL and region[2])}
        self.hidden = HIDDEN in kinds
        if self.cut or kinds & {GMAIL, QUOTE}:
            self.mode = QUOTED
        else:
            self.mode = SIGNATURE if SIGNED in kinds else TEXT

    def finish(self) -> _Rendered:
        """Close the last line and settle the weak marks."""
        self.end_line()
        for start in self.weak[:50]:
            if self._fields_follow(start):
                self.marks[start:] = bytes((QUOTED,)) * (len(self.marks) - start)
                break
        return _Rendered(self.lines, self.marks)

    def _fields_follow(self, start: int) -> bool:
        """Three of the next five filled lines look like ``Name: value``, in whatever language, one with an address."""
        filled = [line for line in self.lines[start : start + 12] if line][:5]
        fields = [line for line in filled if _FIELD_LIKE.match(line)]
        return len(fields) >= 3 and bool(_FIELD_LIKE.match(filled[0])) and any("@" in line for line in fields)


def _decode(chunk: str) -> str:
    try:
        chunk = unescape(chunk)
    except ValueError:  # a numeric entity of thousands of digits; shown as it is
        return chunk
    return _drop_invisible(chunk)


def _drop_invisible(text: str) -> str:
    if any(mark in text for mark in _INVISIBLE_MARKS):
        return text.translate(_INVISIBLE)
    return text


def _is_tight(attributes: str) -> bool:
    """A paragraph without space around it: Word's, and those with a margin of nothing."""
    if "MsoNormal" in attributes:
        return True
    return "margin" in attributes and "margin:0" in attributes[:4096].replace(" ", "").lower()
