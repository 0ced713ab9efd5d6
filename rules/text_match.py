"""Words in text: case and accents do not count, words count whole, `orçament*` is a prefix.

A text becomes one string of folded words with a space before, between and behind them, so that a whole word, a
phrase and a prefix are all one substring search.
"""

from __future__ import annotations

import fnmatch
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from rules.lazy import Lazy

_WORD = re.compile(r"[^\W_]+")
_INVISIBLE = re.compile("[\u00ad\u034f\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff\ufe00-\ufe0f]")
_MARKS = re.compile(r"[\u0300-\u036f]")
# Letters with a stroke do not decompose.
_STROKES = str.maketrans({"ł": "l", "ø": "o", "đ": "d", "ħ": "h", "ı": "i", "æ": "ae", "œ": "oe"})
_MOST_CACHED = 50_000
TEXT_LIMIT = 256 * 1024
SHORTEST_PREFIX = 2


class _Folds(dict[str, str]):
    """Folded form of each word seen; forgets everything when it has grown too large."""

    def __missing__(self, word: str) -> str:
        if len(self) >= _MOST_CACHED:
            self.clear()
        folded = self[word] = "".join(_WORD.findall(fold_text(word)))
        return folded


_folds = _Folds()


def fold_text(text: str) -> str:
    """The text without case and accents; punctuation stays. й is a letter of its own, ё is an е."""
    if text.isascii():
        return text.lower()
    # Case goes twice: a letter like the mathematical A only shows what it is when it is taken apart.
    parts = unicodedata.normalize("NFKD", text.casefold()).casefold().replace("и\u0306", "\ue000")
    return _MARKS.sub("", parts).translate(_STROKES).replace("\ue000", "й")


def words_of(text: str) -> list[str]:
    """The words of a text in order, folded. Punctuation and invisible characters are gone."""
    text = text[:TEXT_LIMIT]
    for codec in _CODECS:
        try:
            data = text.encode(codec)
        except UnicodeEncodeError:
            continue
        table, target = _table(codec)
        plain = data.translate(table, _SOFT_HYPHEN[codec])
        if b"\0" not in plain:
            return plain.decode(target).split()
    return _any_words(text)


def _any_words(text: str) -> list[str]:
    """The same for any script: by the rules of Unicode, word by word."""
    text = _INVISIBLE.sub("", unicodedata.normalize("NFC", text))
    folds = _folds
    return [word for word in [folds[found] for found in _WORD.findall(text.lower())] if word]


# Most mail fits one byte a character: then folding is one table look-up a byte, some ten times as fast.
_CODECS = ("ascii", "latin-1", "cp1252", "cp1251")
_SOFT_HYPHEN = {"ascii": b"", "latin-1": b"\xad", "cp1252": b"\xad", "cp1251": b"\xad"}


@lru_cache(maxsize=8)
def _table(codec: str) -> tuple[bytes, str]:
    """Byte -> folded byte, space for what is no part of a word, 0 for what one byte cannot say."""
    target = "cp1251" if codec == "cp1251" else "ascii"
    table = bytearray(256)
    for value in range(1, 256):
        try:
            found = _any_words(bytes([value]).decode(codec))
            folded = "".join(found).encode(target) if found else b" "
        except UnicodeError:
            continue
        table[value] = folded[0] if len(folded) == 1 else 0
    return bytes(table), target


def fold_words(text: str) -> str:
    """The folded words joined by single spaces."""
    return " ".join(words_of(text))


class Folded:
    """A text made ready for many questions: its different words, and " word word " as one line when first asked."""

    def __init__(self, ordered: list[str]) -> None:
        self.words = frozenset(ordered)
        self._ordered = ordered

    @Lazy
    def line(self) -> str:
        """The words with a space before, between and behind them."""
        return f" {' '.join(self._ordered)} "

    def has_any(self, words: frozenset[str]) -> bool:
        """Whether one of some single words is in the text."""
        return not words.isdisjoint(self.words)


class Joined(Folded):
    """Two texts as one; no phrase reaches across."""

    def __init__(self, first: Folded, second: Folded) -> None:
        self._first, self._second = first, second

    @Lazy
    def line(self) -> str:
        """Both lines."""
        return f"{self._first.line}\n{self._second.line}"

    def has_any(self, words: frozenset[str]) -> bool:
        """Whether one of some single words is in either."""
        return self._first.has_any(words) or self._second.has_any(words)


def folded(text: str) -> Folded:
    """Make a text ready for many questions."""
    return Folded(words_of(text))


@dataclass(frozen=True, slots=True)
class Phrase:
    """One thing to look for, as written and as it is searched: " price list " or, for a prefix, " orcament"."""

    written: str
    needle: str

    @property
    def key(self) -> str | None:
        """What the index looks up: "w:" and the whole words, or "p:" and the prefix; None for one letter."""
        words = self.needle.split()
        whole = words if self.needle.endswith(" ") else words[:-1]
        if whole:
            return f"w:{' '.join(whole)}"
        return f"p:{words[0]}" if len(words[0]) >= SHORTEST_PREFIX else None


def phrase(written: str) -> Phrase:
    """`orçament*` is a prefix of its last word; anything else is whole words."""
    core = fold_words(written.removesuffix("*"))
    return Phrase(written, f" {core}" if written.endswith("*") else f" {core} ")


@dataclass(frozen=True, slots=True)
class WordSet:
    """Any of some words, phrases and prefixes. Whole single words are looked up by hash, the others searched."""

    singles: frozenset[str]
    longer: tuple[str, ...]
    phrases: tuple[Phrase, ...]

    def found_in(self, text: Folded) -> bool:
        """Whether at least one of them is in the text."""
        if self.singles and text.has_any(self.singles):
            return True
        return any(needle in text.line for needle in self.longer)

    def first_in(self, text: Folded) -> str:
        """The first of them that is in the text, as the rule writes it; "" if none is."""
        return next((one.written for one in self.phrases if one.needle in text.line), "")

    def keys(self) -> frozenset[str] | None:
        """Index keys one of which every fitting text has; None if there is no such set."""
        keys = [one.key for one in self.phrases]
        return frozenset(key for key in keys if key) if keys and all(keys) else None

    def __bool__(self) -> bool:
        return bool(self.phrases)


def word_set(written: Iterable[str]) -> WordSet:
    """Build a set from words as people write them."""
    phrases = tuple(phrase(one) for one in dict.fromkeys(written))
    single = [one for one in phrases if one.needle.endswith(" ") and one.needle.count(" ") == 2]
    longer = tuple(one.needle for one in phrases if one not in single)
    return WordSet(frozenset(one.needle.strip() for one in single), longer, phrases)


@dataclass(frozen=True, slots=True)
class GlobSet:
    """Any of some globs (* and ?) over a whole text, case and accents folded."""

    exact: frozenset[str]
    globs: re.Pattern[str] | None

    def fits(self, text: str) -> bool:
        """Whether the text fits one of them."""
        plain = fold_text(text)
        return plain in self.exact or (self.globs is not None and self.globs.match(plain) is not None)

    def __bool__(self) -> bool:
        return bool(self.exact or self.globs)


def glob_set(written: Iterable[str]) -> GlobSet:
    """Build a set of globs; [ has no special meaning."""
    plain = [fold_text(one.strip()) for one in written]
    globs = [fnmatch.translate(one.replace("[", "[[]")) for one in plain if "*" in one or "?" in one]
    exact = frozenset(one for one in plain if "*" not in one and "?" not in one)
    return GlobSet(exact, re.compile("|".join(globs)) if globs else None)
