"""What a VEVENT says apart from its times: subject, place, people, status, and whether it is private."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from connectors.calendars import Answer, EventStatus, Role
from connectors.ical.crossing import FlatAttendee, Person, Telling
from connectors.ical.lines import Component, Line
from connectors.ical.values import BadValue, address_of, parse_address, parse_stamp, parse_text, parse_texts
from connectors.model import Address

__all__ = ["describe", "is_private", "people_of"]

ATTENDEES_LIMIT = 500
_SUMMARY, _LOCATION, _TEXT, _CATEGORY = 1_000, 1_000, 20_000, 100
_ROLES = {
    "CHAIR": Role.CHAIR,
    "REQ-PARTICIPANT": Role.REQUIRED,
    "OPT-PARTICIPANT": Role.OPTIONAL,
    "NON-PARTICIPANT": Role.INFORMED,
}
_ANSWERS = {answer.value.upper(): answer for answer in Answer}
_STATUS = {status.value.upper(): status for status in EventStatus}


def describe(component: Component, uid: str, notes: list[str]) -> Telling:
    """Read all of it; what is odd goes into `notes`. Never raises."""
    organizer = component.first("ORGANIZER")
    return Telling(
        uid=uid,
        sequence=_sequence(component, notes),
        stamped_at=_instant(component, "DTSTAMP", notes),
        changed_at=_instant(component, "LAST-MODIFIED", notes),
        status=_status(component, notes),
        summary=parse_text(component.value("SUMMARY"), _SUMMARY),
        location=parse_text(component.value("LOCATION"), _LOCATION),
        text=parse_text(component.value("DESCRIPTION"), _TEXT),
        organizer=_flat(parse_address(organizer)) if organizer else None,
        organizer_by=_sent_by(organizer) if organizer else None,
        attendees=list(_attendees(component, notes)),
        private=is_private(component),
        free=component.value("TRANSP").upper() == "TRANSPARENT",
        categories=[
            category for line in component.all("CATEGORIES")[:20] for category in parse_texts(line.value, _CATEGORY)
        ][:50],
        degraded=notes,
    )


def people_of(component: Component) -> tuple[Address, ...]:
    """Everybody whom a component names, organizer first."""
    lines = [*component.all("ORGANIZER"), *component.all("ATTENDEE")[:ATTENDEES_LIMIT]]
    return tuple(address for line in lines if (address := parse_address(line)))


def is_private(component: Component) -> bool:
    """CLASS (RFC 5545 3.8.1.3): what is neither absent nor PUBLIC is private, unknown words too."""
    return component.value("CLASS").upper() not in ("", "PUBLIC")


def _status(component: Component, notes: list[str]) -> str:
    """Of an event. A task that is ticked off or given up counts as cancelled here: there is nothing left to do."""
    status = component.value("STATUS").upper()
    if component.name == "VTODO":
        over = status in ("COMPLETED", "CANCELLED") or bool(component.value("COMPLETED"))
        return (EventStatus.CANCELLED if over else EventStatus.CONFIRMED).value
    if status and status not in _STATUS:
        notes.append(f'no status of an event: "{status[:20]}"')
    return _STATUS.get(status, EventStatus.CONFIRMED).value


def _sequence(component: Component, notes: list[str]) -> int:
    text = component.value("SEQUENCE")
    if text and not (text.isascii() and text.isdecimal() and len(text) < 10):
        notes.append("SEQUENCE is no number")
        return 0
    return int(text or 0)


def _instant(component: Component, name: str, notes: list[str]) -> float | None:
    line = component.first(name)
    if line is None or not line.value.strip():
        return None
    try:
        value = parse_stamp(line.value, line).value
        return value.replace(tzinfo=UTC).timestamp() if isinstance(value, datetime) else None
    except (BadValue, OverflowError) as error:
        notes.append(str(error))
        return None


def _attendees(component: Component, notes: list[str]) -> Iterator[FlatAttendee]:
    lines = component.all("ATTENDEE")
    if len(lines) > ATTENDEES_LIMIT:
        notes.append(f"more than {ATTENDEES_LIMIT} attendees")
    for line in lines[:ATTENDEES_LIMIT]:
        address = parse_address(line)
        if address is None:
            notes.append(f'an attendee without a mail address: "{line.value[:40]}"')
            continue
        yield address.email, address.name, _answer(line).value, _role(line).value, _sent_by(line)


def _answer(line: Line) -> Answer:
    return _ANSWERS.get(line.parameters.get("PARTSTAT", "").upper(), Answer.NONE)


def _role(line: Line) -> Role:
    if line.parameters.get("CUTYPE", "").upper() in ("ROOM", "RESOURCE"):
        return Role.RESOURCE
    return _ROLES.get(line.parameters.get("ROLE", "").upper(), Role.REQUIRED)


def _sent_by(line: Line) -> Person | None:
    return _flat(address_of(line.parameters.get("SENT-BY", ""), ""))


def _flat(address: Address | None) -> Person | None:
    return (address.email, address.name) if address else None
