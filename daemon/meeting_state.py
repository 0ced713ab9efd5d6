"""What an event of a calendar says, as a meeting is kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from hashlib import blake2b
from zoneinfo import ZoneInfo

from config.settings import Settings
from connectors.calendars import CalendarEvent, Role, When
from rules.clock import instant
from rules.meetings import ANSWERS
from store.meetings import MeetingState


def state_of(event: CalendarEvent, zone: ZoneInfo) -> MeetingState:
    """The event as a meeting is kept. Days of an all-day event begin and end at midnight in `zone`, the office's."""
    uid, original = event.key
    organizer = event.organizer.email if event.organizer else ""
    invited = [one for one in event.attendees if one.role is not Role.RESOURCE]
    people = [("attendee", one.address.email, one.address.name) for one in invited]
    return MeetingState(
        uid=uid,
        original=original,
        sequence=event.sequence,
        stamped_at=event.stamped_at,
        title=" ".join(event.summary.split()),
        start_at=_instant(event.start, zone),
        end_at=_instant(event.end, zone),
        start_day=_day(event.start),
        end_day=_day(event.end),
        zone=event.zone,
        zone_unclear=event.zone_unclear,
        status=event.status.value,
        place=" ".join(event.location.split()),
        organizer=organizer,
        attendees=[
            {
                "email": one.address.email,
                "name": one.address.name,
                "answer": ANSWERS[one.answer],
                "role": one.role.value,
            }
            for one in invited
        ],
        people=[*([("organizer", organizer, event.organizer.name)] if event.organizer else []), *people],
    )


def digest_of(event: CalendarEvent) -> str:
    """A hash of everything that a copy says of the meeting."""
    said = (
        event.sequence,
        event.start.isoformat(),
        event.end.isoformat(),
        event.zone_unclear,
        event.status.value,
        event.summary,
        event.location,
        event.organizer.key if event.organizer else "",
        sorted((one.address.key, one.answer.value) for one in event.attendees),
        event.answer.value if event.answer else "",
        sorted(event.categories),
    )
    return blake2b(repr(said).encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()


def answer_of(event: CalendarEvent, rep: str, settings: Settings) -> str:
    """What the owner of the calendar answered, "" where it does not say."""
    if event.answer is not None:
        return ANSWERS[event.answer]
    mine = (one.answer for one in event.attendees if rep and settings.rep_of(one.address.email) == rep)
    found = next(mine, None)
    return ANSWERS[found] if found else ""


def heard(
    known: Sequence[Mapping[str, str]], said: MeetingState, rep: str, settings: Settings, *, reset: bool
) -> list[dict[str, str]]:
    """Those invited with their newest answers. A copy knows of its owner's answer, the organizer's copy of everybody's;
    of others it may tell what was true once. `reset`: everybody was asked anew."""
    before = {one["email"].lower(): one["answer"] for one in known}
    organizes = not said.organizer or not rep or settings.rep_of(said.organizer) == rep
    found = []
    for one in said.attendees:
        key, answer = one["email"].lower(), one["answer"]
        knows = organizes or settings.rep_of(key) == rep or reset
        was = "" if reset else before.get(key, "")
        found.append({**one, "answer": answer if answer and (knows or not was) else was})
    return found


def _instant(when: When, zone: ZoneInfo) -> datetime:
    return when.astimezone(UTC) if isinstance(when, datetime) else instant(when, 0, zone).astimezone(UTC)


def _day(when: When) -> date | None:
    return None if isinstance(when, datetime) else when
