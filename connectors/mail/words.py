"""Encoded words in header values (RFC 2047), as mail really has them."""

from __future__ import annotations

import re
from base64 import b64decode
from binascii import Error as Base64Error
from binascii import a2b_qp
from collections.abc import Iterator
from functools import lru_cache

from connectors.mail.charsets import clean_line, decode_line

__all__ = ["decode_value", "decode_words", "read_line", "unfold"]

_WORD = re.compile(r"=\?([^?\s]{1,60})\?([bBqQ])\?([^?]*(?:\?(?!=)[^?]{0,200}){0,4})\?=")
_NOT_BASE64 = bytes(
    code for code in range(256) if not (chr(code).isascii() and chr(code).isalnum()) and code not in b"+/"
)
WORDS_LIMIT = 2000
CACHED_LENGTH = 400


def unfold(value: bytes) -> bytes:
    """One line of a folded value (RFC 5322, 2.2.3); white space at both ends is gone."""
    if b"\n" in value:
        value = b" ".join([line.strip() for line in value.split(b"\n")])
    return value.strip()


def read_line(value: bytes) -> str:
    """A raw value as text on one line, encoded words left as they are."""
    value = unfold(value)
    if value.isascii() and b"\x1b" not in value:
        return value.decode("ascii")
    return decode_line(value)


def decode_value(value: bytes) -> str:
    """A raw header value as text on one line: unfolded, 8-bit guessed, encoded words decoded."""
    return _decode_short(value) if len(value) < CACHED_LENGTH else _decode_value(value)


def _decode_value(value: bytes) -> str:
    value = unfold(value)
    if not value.isascii():
        return decode_words(decode_line(value))
    text = value.decode("ascii")
    return text if "=?" not in text and text.isprintable() else decode_words(text)


_decode_short = lru_cache(maxsize=2048)(_decode_value)
"""Mailboxes repeat themselves: the same people, programs and lists."""


def decode_words(text: str) -> str:
    """All encoded words of an unfolded value decoded; white space between adjacent ones is dropped (RFC 2047, 6.2).

    Neighbours of one charset are joined as bytes first, because senders cut words within a character. What cannot be
    decoded stays as written. A value that is encoded twice is decoded twice, no further.
    """
    if "=?" not in text:
        return clean_line(text)
    first = _decode_once(text)
    return clean_line(_decode_once(first) if "=?" in first and first != text else first)


def _decode_once(text: str) -> str:
    if single := _WORD.fullmatch(text):
        charset, encoding, payload = single.groups()
        return decode_line(next(_decode_payloads([(encoding, payload)])), charset.partition("*")[0].lower())
    out: list[str] = []
    position = 0
    pending: list[tuple[str, str]] = []
    pending_charset = ""
    for count, match in enumerate(_WORD.finditer(text)):
        if count >= WORDS_LIMIT:
            break
        gap = text[position : match.start()]
        charset = match.group(1).partition("*")[0].lower()
        if not pending or gap.strip() or charset != pending_charset:
            _flush(pending, pending_charset, out)
            if not (position and not gap.strip()):
                out.append(gap)
            pending, pending_charset = [], charset
        pending.append((match.group(2), match.group(3)))
        position = match.end()
    _flush(pending, pending_charset, out)
    out.append(text[position:])
    return "".join(out)


def _flush(pending: list[tuple[str, str]], charset: str, out: list[str]) -> None:
    if pending:
        out.append(decode_line(b"".join(_decode_payloads(pending)), charset))


def _decode_payloads(words: list[tuple[str, str]]) -> Iterator[bytes]:
    """The bytes of adjacent words. Base64 that was cut between words without padding is one stream."""
    open_stream = b""
    for encoding, payload in words:
        data = payload.encode("utf-8", "replace")
        if encoding in "qQ":
            if open_stream:
                yield decode_base64(open_stream)
                open_stream = b""
            yield a2b_qp(data, header=True)
            continue
        data = open_stream + data.strip()
        open_stream = b""
        if len(data) % 4 and not data.endswith(b"="):
            open_stream = data
        else:
            yield decode_base64(data)
    if open_stream:
        yield decode_base64(open_stream)


def decode_base64(data: bytes) -> bytes:
    """Base64 with whatever does not belong there left out; a missing end is filled up."""
    data = data.translate(None, _NOT_BASE64)
    rest = len(data) % 4
    if rest == 1:
        data = data[:-1]
    elif rest:
        data += b"=" * (4 - rest)
    try:
        return b64decode(data)
    except Base64Error:  # pragma: no cover - the alphabet and the length are right by now
        return b""
