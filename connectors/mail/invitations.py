"""Calendars that come with a mail (RFC 6047): as a part beside the text, or as an attached .ics file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from connectors.calendars import Method, RawCalendar, Window
from connectors.mail.charsets import decode
from connectors.mail.crossing import FlatInvitation
from connectors.mail.structure import Part, decode_body, is_calendar

__all__ = ["read_invitations"]

INVITATIONS_LIMIT = 5
KEPT_LIMIT = 64 * 1024
_BEFORE, _AFTER = timedelta(days=1), timedelta(days=731)
_MEANT = (Method.REQUEST, Method.ADD, Method.PUBLISH)
"""Methods by which a whole event comes; the others are about one that is known already, whenever it is."""


def read_invitations(parts: Sequence[Part], received_at: datetime, notes: list[str]) -> list[FlatInvitation]:
    """Every different calendar of a mail, at most 5. What cannot be read is added to `notes`."""
    found: list[FlatInvitation] = []
    texts = dict.fromkeys((part.parameters.get("method", "").lower(), text) for part, text in _texts(parts, notes))
    inner = {text for method, text in texts if method}
    for method, text in texts:
        if not method and text in inner:
            continue  # the same as an attached file
        if len(found) == INVITATIONS_LIMIT:
            notes.append(f"more than {INVITATIONS_LIMIT} calendars")
            break
        found.append(_read(method, text, received_at, notes))
    return found


def _texts(parts: Sequence[Part], notes: list[str]) -> Iterator[tuple[Part, str]]:
    for part in parts:
        if not is_calendar(part.content_type, part.name or part.parameters.get("name", "")):
            continue
        text, note = decode(decode_body(part), part.parameters.get("charset", ""))
        notes += [note] * bool(note) + ["calendar clipped"] * part.truncated
        yield part, text.replace("\r\n", "\n").strip()


def _read(outside: str, text: str, received_at: datetime, notes: list[str]) -> FlatInvitation:
    from connectors.ical.reading import Limits, read_calendar  # only children that see a calendar load these

    limits = Limits(size=1_000_000, occurrences=100, events=200, people=2_000, steps=20_000, all_steps=40_000)
    inside = _method(text)
    window = Window(received_at - _BEFORE, received_at + _AFTER) if inside in _MEANT else None
    raw = RawCalendar(account="", calendar="", ref="", data=text.encode("utf-8", "replace"), window=window)
    reading = read_calendar(raw, limits)
    odd = [bad[1] for bad in reading.bad]
    method = reading.method or Method.PUBLISH.value
    if outside and outside != method:
        odd.append(f"it says {outside[:20]} outside and {method} inside")
        method = Method.PUBLISH.value
    degraded = list(dict.fromkeys([*odd, *reading.notes]))[:10]
    notes += [f"calendar: {reason}" for reason in odd]
    return method, reading, text if len(text) <= KEPT_LIMIT else "", degraded


def _method(text: str) -> Method:
    """METHOD, PUBLISH where there is none: found without reading the rest."""
    at = text.upper().find("\nMETHOD:")
    stated = text[at + 8 : at + 40].partition("\n")[0].strip().lower() if at >= 0 else ""
    return Method(stated) if stated in set(Method) else Method.PUBLISH
