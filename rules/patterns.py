r"""Patterns written by users, on RE2: linear time whatever the text. Case is ignored, accents are kept.

RE2 knows `\w`, `\s` and `\b` of ASCII only, so they are translated to what Unicode means (decision 25). A boundary
cannot be said in RE2 at all: for patterns with `\b` the text gets a mark at every word boundary, `\b` looks for one,
and everything else steps over them. What cannot be translated is refused at load.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Any

import re2

from config.errors import QuietcrmError
from rules.lazy import Lazy
from rules.text_match import TEXT_LIMIT

MOST_PATTERN = 2000
MOST_CAPTURED = 500
MOST_WEIGHT = 100
"""A pattern of this weight takes well below a second for the longest text, whatever the text (`campaigns.patterns`)."""
_UNICODE = 4
"""What \\w weighs: its letters of all scripts take hundreds of steps where another class takes a few."""
_PIECE = re.compile(
    r"(?P<repeat>\{\d+(?:,\d*)?\})|\((?:\?P?<[^>]*>|\?[a-zA-Z-]*[:)])?|\\(?:x\{[0-9A-Fa-f]*\}|[pP]\{[^}]*\}|[pP].|.)"
    r"|(?P<class>\[\^?\]?(?:\[:\w+:\]|\\.|[^\]\\])*\])|(?P<sign>[^(])",
    re.DOTALL,
)
_MARK = "\x01"
_STEP = r"\x01*"
_BOUNDARY = re.compile(r"\b")
_SPACES = re.compile("[\xa0\u1680\u2000-\u200a\u202f\u205f\u3000]")
_SPACE_CLASS = r"\t\n\f\r\v \x{85}\x{2028}\x{2029}"
_WORD_CLASS = r"\p{L}\p{N}_"
_INSIDE = {"w": _WORD_CLASS, "s": _SPACE_CLASS, "d": "0-9"}
_ANYTHING = {"sS", "Ss", "dD", "Dd", "wW", "Ww"}
_REFUSED = {
    "B": r"\B cannot be used; write the neighbouring character instead, for example \w",
    "Q": r"\Q...\E cannot be used; write a backslash before each sign",
    "C": r"\C cannot be used; write . for any character",
    "G": r"\G cannot be used; take it away",
    "K": r"\K cannot be used; take it away",
}
_LOOKING = (
    ("(?=", "a look-ahead", "take it away and test the rest with a second condition"),
    ("(?!", "a negative look-ahead", "take it away and use `not` beside `regex`"),
    ("(?<=", "a look-behind", "take it away and test the rest with a second condition"),
    ("(?<!", "a negative look-behind", "take it away and use `not` beside `regex`"),
    ("(?P=", "a back-reference", "write the repeated part a second time"),
    ("(?>", "an atomic group", "write (?:...)"),
    ("(?#", "a comment", "take it away"),
    ("(?(", "a conditional group", "write the alternatives with |"),
)


class PatternError(QuietcrmError):
    """A pattern that cannot be used. `hint` says what to write; `offset` is where in the pattern, from 0."""

    def __init__(self, message: str, *, hint: str, offset: int = 0) -> None:
        super().__init__(message, hint=hint)
        self.offset = offset


@dataclass(frozen=True, slots=True, eq=False)
class Pattern:
    """A compiled pattern; `marked` patterns search the text with its boundaries marked.

    literal   letters that every match begins with, casefolded: a text without them need not be searched
    """

    source: str
    marked: bool
    program: Any
    literal: str = ""

    def search(self, text: Searchable) -> bool:
        """Whether the pattern is somewhere in the text."""
        if self.literal not in text.caseless:
            return False
        return self.program.search(text.marked if self.marked else text.plain) is not None

    def found(self, text: Searchable) -> str:
        """What the pattern found, at most 80 characters; "" for nothing."""
        match = self.program.search(text.marked if self.marked else text.plain)
        if match is None:
            return ""
        return str(match.group().decode("utf-8", "replace")).replace(_MARK, "")[:80]

    def capture(self, text: Searchable) -> str | None:
        """The first group that took part in the match, else all of it; None where the pattern is not found."""
        if self.literal not in text.caseless:
            return None
        match = self.program.search(text.marked if self.marked else text.plain)
        if match is None:
            return None
        taken = next((one for one in match.groups() if one is not None), match.group())
        return str(taken.decode("utf-8", "replace")).replace(_MARK, "")[:MOST_CAPTURED]


class Searchable:
    """A text to be searched: clipped, composed, every kind of space a plain one; as UTF-8."""

    def __init__(self, text: str) -> None:
        self.text = text

    @Lazy
    def _clean(self) -> str:
        clean = unicodedata.normalize("NFC", self.text[:TEXT_LIMIT]).replace(_MARK, " ")
        return clean if clean.isascii() else _SPACES.sub(" ", clean)

    @Lazy
    def caseless(self) -> str:
        """For the literal that a pattern begins with."""
        return self._clean.casefold()

    @Lazy
    def plain(self) -> bytes:
        """For patterns without boundaries."""
        return self._clean.encode("utf-8", "replace")

    @Lazy
    def marked(self) -> bytes:
        """With three marks at each word boundary: several `\\b` may ask for the same one (`\\b-?\\b`)."""
        return _BOUNDARY.sub(_MARK * 3, self._clean).encode("utf-8", "replace")


def compile_pattern(source: str) -> Pattern:
    """Check, translate and compile. Raises PatternError."""
    if len(source) > MOST_PATTERN:
        raise PatternError(f"the pattern is longer than {MOST_PATTERN} characters", hint="split it into several")
    clean = _SPACES.sub(" ", unicodedata.normalize("NFC", source))
    translator = _Translator(clean)
    translated = translator.translate()
    options = re2.Options()
    options.case_sensitive = False
    options.log_errors = False
    try:
        program = re2.compile(translated.encode("utf-8", "replace"), options)
    except re2.error as error:
        raise _refusal(clean, error) from error
    _refuse_weight(clean)
    return Pattern(source, translator.marked, program, _first_letters(clean))


def _refuse_weight(source: str) -> None:
    """Refuse what RE2 can only follow by keeping many places in mind at once: linear, but for seconds."""
    weight, heaviest = _weigh(source)
    if weight > MOST_WEIGHT:
        hint = f"repeat at most {MOST_WEIGHT} times in all (of \\w at most {MOST_WEIGHT // _UNICODE}), or use + or *"
        raise PatternError("the pattern repeats too much", hint=hint, offset=heaviest)


@dataclass(slots=True)
class _Part:
    """A piece of a pattern: its single signs, and what its classes and repeated signs weigh."""

    signs: int = 0
    weight: int = 0

    def add(self, other: _Part) -> None:
        self.signs += other.signs
        self.weight += other.weight

    def repeated(self, times: int) -> _Part:
        """The same `times` times over: then its single signs are places to keep in mind too."""
        return self if times < 2 else _Part(0, (self.signs + self.weight) * times)


def _weigh(source: str) -> tuple[int, int]:
    """How many places of a pattern a text may be at, each repetition counted out; and where the heaviest one stands."""
    open_groups, last, heaviest = [_Part()], _Part(), (0, 0)
    for found in _PIECE.finditer(source):
        piece = found[0]
        if repeat := found["repeat"]:
            counts = [int(count) for count in re.findall(r"\d+", repeat)]
            more = last.repeated(max(counts, default=1))
            open_groups[-1].signs += more.signs - last.signs
            open_groups[-1].weight += more.weight - last.weight
            heaviest = max(heaviest, (more.weight, -found.start()))
            last = more
        elif piece.startswith("(") and found["sign"] is None:
            open_groups.append(_Part())
        elif piece == ")" and len(open_groups) > 1:
            last = open_groups.pop()
            open_groups[-1].add(last)
        elif piece not in ("*", "+", "?", "|", ")"):
            last = _piece_weight(piece)
            open_groups[-1].add(last)
    whole = _Part()
    for part in open_groups:
        whole.add(part)
    return whole.weight, -heaviest[1]


def _piece_weight(piece: str) -> _Part:
    if piece in ("^", "$", "\\b", "\\A", "\\z", "\\Z"):
        return _Part()
    if re.search(r"\\[wWpP]", piece):
        return _Part(0, _UNICODE)
    return _Part(0, 1) if piece[0] in ".[" or piece[1:2] in ("s", "S", "d", "D") else _Part(1, 0)


def _first_letters(source: str) -> str:
    """The plain letters and digits at the beginning of a pattern without alternatives; "" if there are none."""
    found = re.match(r"(?:\\b)?([^\W_]+)(?![*?{])", source)
    if not found or "|" in source:
        return ""
    rest = source[found.end(1) : found.end(1) + 1]
    return (found[1][:-1] if rest in ("+",) else found[1]).casefold()


def _refusal(source: str, error: Exception) -> PatternError:
    reason = error.args[0] if error.args else error
    text = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
    text = text.replace(_STEP, "")
    kind, _, fragment = text.partition(": ")
    hints = {
        "missing )": "close the bracket: )",
        "unexpected )": r"write \) for the sign itself",
        "missing ]": "close the class: ]",
        "invalid repetition size": "repeat at most 1000 times",
        "no argument for repetition operator": "write what is to be repeated before it",
        "bad repetition operator": "use one of * + ? {n,m}",
        "trailing \\": r"write \\ for the sign itself",
        "pattern too large - compile failed": "repeat less often",
    }
    at = source.find(fragment) if fragment and len(fragment) < len(source) else 0
    hint = hints.get(kind, "write it without that part")
    return PatternError(f"the pattern cannot be read: {kind}", hint=hint, offset=max(at, 0))


class _Translator:
    """One pass over a pattern, from Python's dialect to RE2's."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.marked = _uses_boundary(source)
        self.out: list[str] = []
        self.at = 0

    def translate(self) -> str:
        while self.at < len(self.source):
            self._next()
        return "".join(self.out)

    def _next(self) -> None:
        sign = self.source[self.at]
        if sign == "\\":
            self._escape()
        elif sign == "[":
            self._class()
        elif sign == "(":
            self._open()
        elif sign == "^":
            self._start(sign, 1)
        elif sign in ")|*+?{":
            self._copy(self._length_of_repeat() if sign == "{" else 1)
        elif sign == "$":
            self.out.append(_STEP + "$" if self.marked else "$")
            self.at += 1
        else:
            self._atom("[^\\n\\x01]" if sign == "." and self.marked else sign, 1)

    def _copy(self, length: int) -> None:
        self.out.append(self.source[self.at : self.at + length])
        self.at += length

    def _atom(self, text: str, length: int) -> None:
        """One thing that takes a character; before it, marks may stand."""
        self.out.append(f"(?:{_STEP}{text})" if self.marked else text)
        self.at += length

    def _length_of_repeat(self) -> int:
        found = re.compile(r"\{\d*,?\d*\}").match(self.source, self.at)
        return len(found[0]) if found else 1

    def _open(self) -> None:
        for start, what, hint in _LOOKING:
            if self.source.startswith(start, self.at):
                raise PatternError(f"the pattern has {what}, {start}", hint=hint, offset=self.at)
        found = re.compile(r"\((?:\?P?<[^>]*>|\?[a-zA-Z-]*[:)])?").match(self.source, self.at)
        self._copy(len(found[0]) if found else 1)

    def _escape(self) -> None:
        letter = self.source[self.at + 1 : self.at + 2]
        if letter in _REFUSED:
            raise PatternError(f"\\{letter} in a pattern", hint=_REFUSED[letter], offset=self.at)
        if letter.isdigit() and letter != "0":
            hint = "write the repeated part a second time"
            raise PatternError("the pattern has a back-reference", hint=hint, offset=self.at)
        if letter == "b":
            self._boundary()
        elif letter == "A":
            self._start("\\A", 2)
        elif letter in ("z", "Z"):
            self.out.append((_STEP if self.marked else "") + "\\z")
            self.at += 2
        elif letter.lower() in _INSIDE:
            self._atom(_shorthand(letter, self.marked), 2)
        else:
            length = _escape_length(self.source, self.at)
            self._atom(self.source[self.at : self.at + length], length)

    def _boundary(self) -> None:
        """One mark; a boundary said twice is said once, and one at the end is looked for before the end."""
        last = self.out[-1] if self.out else ""
        if last in (_STEP + "$", _STEP + "\\z"):
            self.out[-1:] = [_MARK_ONCE, last]
        elif last != _MARK_ONCE:
            self.out.append(_MARK_ONCE)
        self.at += 2

    def _start(self, text: str, length: int) -> None:
        """The start of the text; a boundary said before it is looked for behind it."""
        if self.out and self.out[-1] == _MARK_ONCE:
            self.out[-1:] = [text, _MARK_ONCE]
        else:
            self.out.append(text)
        self.at += length

    def _class(self) -> None:
        end = _class_end(self.source, self.at)
        body = self.source[self.at + 1 : end]
        negated = body.startswith("^")
        inside = body[1:] if negated else body
        length = end + 1 - self.at
        if inside.replace("\\", "") in _ANYTHING and not negated:
            self._atom("[^\\x01]" if self.marked else "(?s:.)", length)
            return
        text = self._class_body(inside)
        guard = "\\x01" if negated and self.marked else ""
        self._atom(f"[{'^' if negated else ''}{text}{guard}]", length)

    def _class_body(self, inside: str) -> str:
        out: list[str] = []
        at = 0
        while at < len(inside):
            pair = inside[at : at + 2]
            if pair in ("\\W", "\\S", "\\B", "\\D"):
                hint = f"write the class without {pair}, or two alternatives with |"
                raise PatternError(f"{pair} inside [ ]", hint=hint, offset=self.at)
            if pair.startswith("\\") and pair[1:] in _INSIDE:
                out.append(_INSIDE[pair[1:]])
            elif pair == "\\b":
                out.append("\\x{8}")
            else:
                out.append(pair if pair.startswith("\\") else pair[:1])
            at += 2 if pair.startswith("\\") else 1
        return "".join(out)


_MARK_ONCE = r"\x01"


def _shorthand(letter: str, marked: bool) -> str:
    if letter.islower():
        return f"[{_INSIDE[letter]}]"
    guard = _MARK_ONCE if marked else ""
    return f"[^{_INSIDE[letter.lower()]}{guard}]"


def _escape_length(source: str, at: int) -> int:
    """How long an escape is: \\x41, \\x{e7}, \\p{L}, \\pL or one sign."""
    found = re.compile(r"\\(?:x\{[0-9A-Fa-f]*\}|x[0-9A-Fa-f]{2}|[pP]\{[^}]*\}|[pP].|0[0-7]{0,2}|.)", re.DOTALL).match(
        source, at
    )
    return len(found[0]) if found else 1


def _class_end(source: str, at: int) -> int:
    """Where the ] of the class that opens at `at` stands. Raises PatternError if there is none."""
    place = at + 1
    if source[place : place + 1] == "^":
        place += 1
    first = place
    while place < len(source):
        if source[place] == "\\":
            place += 2
            continue
        if source.startswith("[:", place) and ":]" in source[place:]:
            place = source.index(":]", place) + 2
            continue
        if source[place] == "]" and place > first:
            return place
        place += 1
    raise PatternError("the pattern cannot be read: missing ]", hint="close the class: ]", offset=at)


def _uses_boundary(source: str) -> bool:
    """Whether \\b stands outside a class."""
    at = 0
    while at < len(source):
        if source[at] == "\\":
            if source[at + 1 : at + 2] == "b":
                return True
            at += 2
        elif source[at] == "[":
            at = _class_end(source, at) + 1
        else:
            at += 1
    return False
