"""Names of categories as IMAP keywords and back (RFC 3501 9: a keyword is an atom; no case is told apart).

Letters, digits and most signs stay as they are, a space is "_", any other ASCII sign "=" and two hexadecimal digits;
a name with other letters ends in "=u" and holds them as Punycode (RFC 3492), which is short (Dovecot takes 50
characters) and survives a server that keeps keywords in lower case: "CRM: lead" is `CRM:_lead`, "CRM: reclamação"
is `CRM:_reclamao-7eb3d=u`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

__all__ = ["categories_in", "category_of", "fold_category", "keyword_of", "tidy_category"]

_PLAIN = re.compile(r"[A-Za-z0-9:./+#@,;!?'~^`|<>&-]")
_ESCAPE = re.compile(r"=([0-9A-Fa-f]{2})|_")
_FOREIGN = "=u"
_LONGEST = 300
_NOT_CATEGORIES = frozenset(("junk", "nonjunk", "notjunk", "forwarded", "redirected", "mdnsent", "old"))
"""What mail programs keep as keywords for themselves, beside everything that begins with $ (RFC 5788)."""


def tidy_category(name: str) -> str:
    """A category as it is written down: composed letters, single spaces."""
    return " ".join(unicodedata.normalize("NFC", name).split())


def fold_category(name: str) -> str:
    """The form in which categories are compared: mail programs tell no case apart."""
    return tidy_category(name).casefold()


def keyword_of(name: str) -> str:
    """The keyword that stands for a category; an atom of ASCII characters. Raises ValueError for an empty name."""
    tidy = tidy_category(name)
    if not tidy:
        raise ValueError("a category needs a name")
    escaped = "".join(map(_escape, tidy))
    if escaped.isascii():
        return escaped
    return escaped.encode("punycode").decode("ascii") + _FOREIGN


def _escape(char: str) -> str:
    if char == " ":
        return "_"
    return char if not char.isascii() or _PLAIN.fullmatch(char) else f"={ord(char):02X}"


def category_of(keyword: str) -> str:
    """The category that a keyword stands for; one that we did not make is its own name."""
    text = keyword
    if keyword.endswith(_FOREIGN) and len(keyword) <= _LONGEST:
        try:
            text = keyword.removesuffix(_FOREIGN).encode("ascii").decode("punycode")
        except (UnicodeError, OverflowError, ValueError):
            return keyword
    name = _ESCAPE.sub(lambda match: chr(int(match[1], 16)) if match[1] else " ", text)
    if not name.isprintable() or not name.strip() or keyword_of(name).casefold() != keyword.casefold():
        return keyword
    return tidy_category(name)


def categories_in(flags: Iterable[str]) -> tuple[str, ...]:
    """The categories among a mail's IMAP flags: keywords, but those that mail programs use for themselves."""
    keywords = (flag for flag in flags if flag[:1] not in ("\\", "$") and flag.lower() not in _NOT_CATEGORIES)
    return tuple(dict.fromkeys(map(category_of, keywords)))
