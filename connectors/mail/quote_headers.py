"""The lines that introduce quoted mail: "On ... wrote:", "From:/Sent:/To:" blocks, "Original message".

All functions work on stripped lines and look at a bounded number of characters, so they are linear in the body.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from connectors.mail.phrases import (
    FIELDS,
    SEPARATOR_OPENINGS,
    SEPARATORS,
    WROTE_VERBS,
    FieldKind,
    SeparatorKind,
)

_LINE_CLIP: Final = 400
_JOINED_CLIP: Final = 600
_ATTRIBUTION_LINES: Final = 6
_BLOCK_LINES: Final = 14
_KEY_CLIP: Final = 26
_DECOR: Final = " \t\xa0*_>-—–=─"

_VERB: Final = re.compile(rf"(?:^|[\s>)\],])(?:{WROTE_VERBS})(?=[\s:：*,-]|$)", re.IGNORECASE)
_VERB_ENDING: Final = re.compile(rf">\s*(?:{WROTE_VERBS})\s?[:：]", re.IGNORECASE)
_DAY: Final = re.compile(r"\d{1,4}[./-]\d{1,2}[./-]\d{2,4}|(?<!\d)(?:19|20)\d\d(?!\d)")
_CLOCK: Final = re.compile(r"(?<!\d)\d{1,2}[:.hч]\d{2}(?!\d)")
_ADDRESS: Final = re.compile(r"[<(\[]\s*(?:mailto:)?[^\s<>()\[\]]{1,200}@[^\s<>()\[\]]{1,200}")
_ADDRESS_END: Final = re.compile(r"@[^\s<>()\[\]]{1,200}\s?[>)\]]+\s?[:：]?$")
# At most three short words, then a figure: "On Tue, Apr 4", "Em sex., 20", "пт, 20", "2014-10-17".
_OPENING: Final = re.compile(r"[\W_]*(?:[^\W\d_][^\W_.,]{0,15}(?:-[^\W\d_]{1,10})?[.,]{0,2}\s+){0,3}\d")
_NAMED_OPENING: Final = re.compile(r"[\W_]*(?:on|em|le|el|am|il|op|den|dnia|no dia|w dniu)\s", re.IGNORECASE)
_MID_LINE: Final = re.compile(
    r"(?<=\S)\s*-*\s*(?<!\w)(?:On|Em|Le|El|Am|Il|Op|Den)\s(?=(?:[^\W\d_]{1,12}[.,]{0,2}\s){0,2}\d)"
)


class Attribution(NamedTuple):
    """Where an "On ... wrote:" begins: its first line, and how many characters of that line come before it."""

    start: int
    column: int


def separator_kind(line: str) -> SeparatorKind | None:
    """Return what a line such as ``-----Original Message-----`` announces, or None."""
    if len(line) > 120:
        return None
    phrase = line.strip(_DECOR + ":：").casefold()
    kind = SEPARATORS.get(phrase)
    if kind is None and line.startswith("--") and phrase.startswith(SEPARATOR_OPENINGS):
        kind = next(SEPARATORS[opening] for opening in SEPARATOR_OPENINGS if phrase.startswith(opening))
    return kind


def is_rule_line(line: str) -> bool:
    """Tell whether a line is only drawn: ``-----``, ``____``, ``***``."""
    return (len(line) > 1 and not line.strip("-_=*#~+—–─ ᐧ")) or line in {"—", "–", "ᐧ"}


def field_kind(line: str) -> FieldKind | None:
    """Return the kind of a ``From:``-like line in any known language, or None."""
    at = line.find(":", 0, _KEY_CLIP)
    if at < 1:
        at = line.find("：", 0, _KEY_CLIP)
        if at < 1:
            return None
    return FIELDS.get(line[:at].strip(_DECOR).casefold())


def field_block_end(lines: Sequence[str], start: int) -> int | None:
    """Return the index of the last field of the quoted header block that starts here, or None.

    A block needs a sender or a date, plus a recipient or a date, plus a subject or an address: so that neither
    an appointment (date, time, place) nor a journey (``De:``, ``Para:``, ``Data:``) is taken for one.
    """
    kinds: set[FieldKind] = set()
    end, others, address, dated = start, 0, False, False
    for index in range(start, min(start + _BLOCK_LINES, len(lines))):
        line = lines[index]
        kind = field_kind(line)
        if kind is None:
            others += 1
            if others > 2:
                break
        else:
            if kind in kinds and kind == "from":
                break
            kinds.add(kind)
            end, others = index, 0
        address = address or "@" in line[:_LINE_CLIP]
        dated = dated or (kind in {"sent", "date"} and _DAY.search(line[:_LINE_CLIP]) is not None)
    if not _is_block(kinds, address=address, dated=dated):
        return None
    return end


def _is_block(kinds: set[FieldKind], *, address: bool, dated: bool) -> bool:
    if "from" in kinds:
        if not kinds & {"sent", "date", "to"}:
            return False
        return address or {"sent", "to"} <= kinds or ("subject" in kinds and len(kinds) > 2)
    return dated and address and bool(kinds & {"to", "subject"})


def is_verb_ending(line: str) -> bool:
    """Tell whether a line is ``> wrote:``, where the mark closes an address opened two lines above."""
    return len(line) < 40 and _VERB_ENDING.fullmatch(line) is not None


def find_attribution(lines: Sequence[str], end: int, *, quote_follows: bool) -> Attribution | None:
    """Find the "On ... NAME wrote:" that ends on line ``end``, wrapped over up to six lines; None if it is not one.

    Without a quoted line behind it the evidence must be stronger: an address in brackets, or day and clock.
    """
    last = lines[end][:_LINE_CLIP]
    if not quote_follows and "@" not in last and _VERB.search(last) is None:
        return None
    joined, fallback = "", None
    for start in range(end, max(-1, end - _ATTRIBUTION_LINES), -1):
        line = lines[start][:_LINE_CLIP]
        if not line:
            if joined.lstrip("> ").startswith("<"):
                continue
            break
        joined = f"{line} {joined}" if joined else line
        if len(joined) > _JOINED_CLIP:
            break
        if not _is_attribution(joined, quote_follows=quote_follows):
            continue
        if _OPENING.match(joined) is not None and (fallback is None or _is_dated(line)):
            return Attribution(start, 0)
        inside = _MID_LINE.search(line)
        if inside is not None and "@" in joined:
            return Attribution(start, inside.start())
        if fallback is None and (quote_follows or _NAMED_OPENING.match(joined) or _stands_alone(joined)):
            fallback = Attribution(_name_above(lines, start), 0)
    return fallback


def _name_above(lines: Sequence[str], start: int) -> int:
    """Step up from a line that begins with the address or the verb to the name it was wrapped from."""
    for _ in range(2):
        line, above = lines[start], lines[start - 1] if start else ""
        wrapped = (
            line.startswith("<") or above.endswith(("<", "(")) or (len(line) < 30 and _VERB.match(line) is not None)
        )
        if not wrapped or not 0 < len(above) < 80:
            break
        start -= 1
    return start


def _is_attribution(joined: str, *, quote_follows: bool) -> bool:
    tail = joined.rstrip("-*_ ")
    closed = tail.endswith((":", "：")) or tail != joined
    verb = _VERB.search(joined) is not None
    address = _ADDRESS.search(joined) is not None
    day = _DAY.search(joined) is not None
    clock = _CLOCK.search(joined) is not None
    if verb and closed:
        return quote_follows or address or (day and clock) or _is_drawn(joined)
    if _OPENING.match(joined) is None or not (day or clock):
        return False
    if _ADDRESS_END.search(joined) is not None:
        return quote_follows or (closed and day and clock)
    return quote_follows and closed and day and clock


def _is_dated(line: str) -> bool:
    return _DAY.search(line) is not None or _CLOCK.search(line) is not None


def _is_drawn(joined: str) -> bool:
    """``---- NAME wrote ----``, as Android writes it."""
    return joined.startswith("--") and joined.endswith("--")


def _stands_alone(joined: str) -> bool:
    """NAME <address> wrote: - no date, but the address right before the verb."""
    if _is_drawn(joined):
        return True
    return _ADDRESS.search(joined) is not None and not joined.startswith("<") and len(joined) <= 200
