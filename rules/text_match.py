"""Words in text: case and accents do not count, words count whole, `orçament*` is a prefix.

A text becomes one string of folded words with a space before, between and behind them, so that a whole word, a
phrase and a prefix are all one substring search.
"""

from __future__ import annotations

import re
import unicodedata

_WORD = re.compile(r"[^\W_]+")
_INVISIBLE = re.compile("[\u00ad\u034f\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff\ufe00-\ufe0f]")
_MARKS = re.compile(r"[\u0300-\u036f]")
# Letters that look like another with a stroke but do not decompose.
_STROKES = str.maketrans({"ł": "l", "ø": "o", "đ": "d", "ħ": "h", "ı": "i", "æ": "ae", "œ": "oe"})
_MOST_CACHED = 50_000
TEXT_LIMIT = 256 * 1024


class _Folds(dict[str, str]):
    """Folded form of each word seen; forgets everything when it has grown too large."""

    def __missing__(self, word: str) -> str:
        if len(self) >= _MOST_CACHED:
            self.clear()
        folded = self[word] = _fold_word(word)
        return folded


def _fold_word(word: str) -> str:
    if word.isascii():
        return word.lower()
    # й is a letter of its own, not an и with an accent; ё is written е by half of its users.
    parts = unicodedata.normalize("NFKD", word.casefold()).replace("и\u0306", "\ue000")
    bare = _MARKS.sub("", parts).translate(_STROKES).replace("\ue000", "й")
    return "".join(_WORD.findall(bare))


_folds = _Folds()


def words_of(text: str) -> list[str]:
    """The words of a text in order, folded. Punctuation and invisible characters are gone."""
    text = text[:TEXT_LIMIT]
    if text.isascii():
        return _WORD.findall(text.lower())
    text = _INVISIBLE.sub("", unicodedata.normalize("NFC", text))
    folds = _folds
    return [word for word in [folds[found] for found in _WORD.findall(text.lower())] if word]


def fold_words(text: str) -> str:
    """The folded words joined by single spaces."""
    return " ".join(words_of(text))
