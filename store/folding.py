"""Text brought into one form for comparing names: no case, no accents, single spaces."""

from __future__ import annotations

import unicodedata

_LETTERS = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "æ": "ae", "œ": "oe", "ı": "i", "ё": "е"})
_BREVE = "\u0306"


def fold(text: str) -> str:
    """The key under which a name is found: "  José  ÁVILA" -> "jose avila", "Фёдор" -> "федор".

    й stays й: it is a letter of its own, not an и with an accent.
    """
    if text.isascii():
        return " ".join(text.lower().split())
    # Twice: some letters only show what they are made of after the first round.
    folded = _strip(_strip(text).casefold())
    return " ".join(folded.split())


def _strip(text: str) -> str:
    kept: list[str] = []
    for sign in unicodedata.normalize("NFKD", text):
        if not unicodedata.combining(sign):
            kept.append(sign)
        elif sign == _BREVE and kept and kept[-1] in "иИ":
            kept[-1] = "й" if kept[-1] == "и" else "Й"
    return "".join(kept).translate(_LETTERS)
