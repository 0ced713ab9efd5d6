"""Address lists of header fields (RFC 5322, 3.4), as mail really has them. Linear, limited, raises nothing."""

from __future__ import annotations

import re
from functools import lru_cache

from connectors.mail.words import decode_words, read_line
from connectors.model import Address

__all__ = ["parse_addresses", "tidy_email"]

ADDRESSES_LIMIT = 1000
CACHED_LENGTH = 300

_ITEM = re.compile(
    r"""\s*(?:(?:"([^"\\]*)"|([^"<>@,;:()\\\[\]]*?))\s*<\s*([^<>@\s",;:()\[\]\\]{1,200}@[\w.-]{1,253})\s*>"""
    r"""|([^<>@\s",;:()\[\]\\]{1,200}@[\w.-]{1,253}))\s*(?:,|\Z)"""
)
_PIECE = re.compile(r"""("(?:[^"\\]|\\.)*")|(\()|(<[^<>]*>?)|([,;])|(:)|([^"(<,;:]+)|(.)""", re.DOTALL)
_EMAIL = re.compile(
    r"""(?:"(?:[^"\\]|\\.){1,200}"|[^\s"<>()\[\],;:\\@]{1,200})@(?:\[[^\]\s]{1,100}\]|[^\s"<>()\[\],;:@\\]{1,253})"""
)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_ATOM = re.compile(r"[A-Za-z0-9][\w.+-]{0,63}\Z")
_SPACE = re.compile(r"\s+")
_WORD_ADDRESS = re.compile(r"=\?[^?\s]{1,60}\?[bBqQ]\?")


def parse_addresses(value: bytes) -> tuple[list[Address], bool]:
    """(addresses in order, whether some were left out for the limit). Groups are flattened, empty ones vanish."""
    return _parse_short(value) if len(value) < CACHED_LENGTH else _parse(value)


def _parse(value: bytes) -> tuple[list[Address], bool]:
    text = read_line(value)
    plain = _parse_plainly(text)
    if plain is not None:
        return plain, False
    found, cut = _parse_slowly(text)
    if not found and _WORD_ADDRESS.search(text):  # the whole field in one encoded word
        found, cut = _parse_slowly(decode_words(text))
    return found, cut


_parse_short = lru_cache(maxsize=2048)(_parse)


def _parse_plainly(text: str) -> list[Address] | None:
    """A list of `Name <a@b>`, `"Name" <a@b>` and `a@b`; None if there is anything else in it."""
    found: list[Address] = []
    position, size = 0, len(text)
    while position < size and len(found) < ADDRESSES_LIMIT:
        match = _ITEM.match(text, position)
        if match is None:
            return None
        position = match.end()
        quoted, name, email, bare = match.groups()
        found.append(_build(bare or email, quoted or name or ""))
    return found if position == size else None


def _build(email: str, name: str) -> Address:
    if name:
        name = decode_words(name) if "=?" in name else name
        name = " ".join(name.split()).strip("'\"").strip()[:500]
    return Address(tidy_email(email), name)


def tidy_email(email: str) -> str:
    """The domain in lower case and as A-labels, the local part as written, no white space."""
    local, at, domain = email.rpartition("@")
    domain = domain.lower().strip(".")
    if not domain.isascii():
        try:
            domain = domain.encode("idna").decode("ascii")
        except (UnicodeError, ValueError, IndexError):
            domain = domain.encode("ascii", "backslashreplace").decode("ascii")
    return f"{local}{at}{domain}" if at else email


class _Mailbox:
    """What was read of the current list item."""

    __slots__ = ("comment", "email", "words")

    def __init__(self) -> None:
        self.words: list[str] = []
        self.comment = ""
        self.email = ""

    def finish(self, found: list[Address], *, last: bool) -> bool:
        """Add the address, if there is one. False keeps the words: a comma within an unquoted name."""
        name = " ".join(self.words).replace(" ,", ",")
        if self.email:
            found.append(_build(self.email, name.strip() or self.comment))
        elif "@" in name and (match := _EMAIL.search(name)):
            rest = (name[: match.start()] + " " + name[match.end() :]).strip(" \"'")
            found.append(_build(match.group(), rest or self.comment))
        elif last and (atom := name.strip()) and " " not in atom and _ATOM.match(atom):
            found.append(Address(atom, decode_words(self.comment)[:500]))
        else:
            return False
        return True


def _parse_slowly(text: str) -> tuple[list[Address], bool]:
    found: list[Address] = []
    box = _Mailbox()
    position, size, quoted = 0, len(text), False
    while position < size and len(found) < ADDRESSES_LIMIT:
        match = _PIECE.match(text, position)
        if match is None:  # pragma: no cover - the last branch takes any character
            break
        position = match.end()
        kind, item = match.lastindex, match.group()
        if kind == 1:
            box.words.append(_ESCAPED.sub(r"\1", item[1:-1]))
        elif kind == 2:
            comment, position = _read_comment(text, position)
            box.comment = box.comment or comment
        elif kind == 3:
            box.email = box.email or _read_angle(item)
        elif kind == 4:
            if box.finish(found, last=item == ";") or item == ";":
                box = _Mailbox()
            elif box.words:
                box.words.append(",")
        elif kind == 5 and not any("@" in word for word in box.words):
            box = _Mailbox()  # the name of a group
        elif kind == 6 and not box.email:
            if item.startswith("@") and quoted and box.words:  # a quoted local part
                box.email = f'"{box.words.pop()}"{item.strip()}'
            elif word := item.strip():
                box.words.append(word)
        quoted = kind == 1
    cut = len(found) >= ADDRESSES_LIMIT and position < size
    box.finish(found, last=not found)
    return found, cut


def _read_comment(text: str, position: int) -> tuple[str, int]:
    """The inside of a comment that may be nested, and where it ends; an open one ends with the value."""
    depth, start = 1, position
    for match in re.compile(r"[()]|\\.", re.DOTALL).finditer(text, position):
        item = match.group()
        depth += (item == "(") - (item == ")")
        if depth == 0:
            return text[start : match.start()], match.end()
    return text[start:], len(text)


def _read_angle(item: str) -> str:
    """The address within <>: a source route and white space are dropped; a name without @ is kept as it is."""
    inner = item.strip("<> \t")
    if inner.startswith("@") and ":" in inner:
        inner = inner.partition(":")[2]
    inner = _SPACE.sub("", inner.removeprefix("mailto:"))
    match = _EMAIL.search(inner)
    return match.group() if match else inner[:200]
