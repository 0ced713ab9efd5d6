"""The text of a mail from its parts: which part counts, and where new text, quotes and signature part ways."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import groupby

from connectors.mail.charsets import decode
from connectors.mail.html import html_to_text, split_html
from connectors.mail.quotes import ReplyParts, split_reply
from connectors.mail.structure import Part, decode_body

__all__ = ["Texts", "choose_texts", "join_texts", "read_part", "split_texts"]

Texts = list[tuple[str, bool]]
"""(text, whether it is HTML)"""

CLIP = 256 * 1024
"""Characters of text that are read; more is noted as clipped (failures M09)."""

_META = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([A-Za-z0-9_.:-]{2,40})", re.IGNORECASE)
_PLACEHOLDER = re.compile(
    r"(?i)\b(html[- ]?(capable|enabled|e-?mail|mail|message|format|version|compatible|content|support\w*)|"
    r"view (it|this|the) (e-?mail|message)? ?(online|in "
    r"(a|your) browser)|does(n't| not) (support|display)|em html|en html|im html|formato html|format html|"
    r"html-?format|в html|"
    r"navegador|браузере|im browser|navigateur)\b"
)


def read_part(part: Part, notes: list[str]) -> str:
    """The decoded, clean text of a part, at most CLIP characters. What was guessed or cut is added to `notes`."""
    data = decode_body(part)
    charset = part.parameters.get("charset", "")
    if part.content_type == "text/html" and not charset and not data.isascii() and (found := _META.search(data[:4000])):
        charset = found.group(1).decode("ascii")
    text, note = decode(data, charset)
    if note:
        notes.append(note)
    if part.truncated or len(text) > CLIP:
        notes.append("text clipped")
        text = text[:CLIP]
    return text


def join_texts(texts: Texts) -> str:
    """The bodies as one text, nothing cut off."""
    return "\n".join(html_to_text(text).text if is_html else text for text, is_html in texts)


def split_texts(texts: Texts, notes: list[str]) -> ReplyParts:
    """New text, quotes and signature of the chosen bodies. Neighbours of one form are split as one."""
    if not texts:
        return ReplyParts("", "", "")
    if len(texts) == 1:
        text, is_html = texts[0]
        return _split(split_html if is_html else split_reply, text, notes)
    pieces = [
        _split(split_html if is_html else split_reply, "\n".join(text for text, _ in group), notes)
        for is_html, group in groupby(texts, key=lambda item: item[1])
    ]
    return ReplyParts(
        text="\n".join(filter(None, (piece.text for piece in pieces))),
        quoted="\n".join(filter(None, (piece.quoted for piece in pieces))),
        signature="\n".join(filter(None, (piece.signature for piece in pieces))),
    )


def _split(split: Callable[[str], ReplyParts], text: str, notes: list[str]) -> ReplyParts:
    try:
        return split(text)
    except Exception as error:  # whatever the splitter met, the text itself must not be lost
        notes.append(f"quotes not separated ({type(error).__name__})")
        return ReplyParts(text, "", "")


def choose_texts(parts: Sequence[Part], notes: list[str]) -> Texts:
    """The bodies to read, in order. Of alternatives the plain one, unless it is empty or only points to the HTML."""
    chosen: list[tuple[str, bool]] = []
    done: set[int] = set()
    texts = [part for part in parts if part.is_text] or _find_named_text(parts)
    for part in texts:
        if part.alternative in done:
            continue
        group = [part]
        if part.alternative:
            done.add(part.alternative)
            group = [other for other in texts if other.alternative == part.alternative]
        chosen.extend(_choose_alternative(group, notes))
    return chosen


def _find_named_text(parts: Sequence[Part]) -> list[Part]:
    """Some programs name the body: without any other text, the first text that is not called an attachment is it."""
    named = (part for part in parts if part.content_type in ("text/plain", "text/html"))
    return [part for part in named if part.disposition != "attachment"][:1]


def _choose_alternative(group: Sequence[Part], notes: list[str]) -> list[tuple[str, bool]]:
    html = [part for part in group if part.content_type == "text/html"]
    plain = [text for part in group if part not in html and (text := read_part(part, notes)).strip()]
    if plain and not (html and _is_placeholder("\n".join(plain))):
        return [(text, False) for text in plain]
    return [(text, True) for part in html if (text := read_part(part, notes)).strip()] or [
        (text, False) for text in plain
    ]


def _is_placeholder(text: str) -> bool:
    return len(text) < 400 and _PLACEHOLDER.search(text) is not None
