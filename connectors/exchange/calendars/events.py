"""A calendar item of EWS as an event: what it says, who is invited and what they answered."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from connectors.calendars import Answer, Attendee, CalendarEvent, EventStatus, Role, When
from connectors.exchange.calendars.ids import uid_of, uid_paths
from connectors.exchange.calendars.times import Clock, clock_of
from connectors.exchange.calendars.view import Seen
from connectors.exchange.words import Element, child, field, item_shape, moment, text
from connectors.ical.values import address_of
from connectors.ical.zones import Zone
from connectors.model import Address

__all__ = ["MASTER", "BrokenItem", "Reading", "detail_shape", "head_shape"]

MASTER = "RecurringMaster"
_SUMMARY, _LOCATION, _TEXT, _CATEGORY = 1_000, 1_000, 20_000, 100
_MOST_ATTENDEES = 500
_BODY_BYTES = 64 << 10
_HEAD = ("calendar:Start", "calendar:End", "calendar:CalendarItemType")
_DETAIL = (
    "item:Subject", "item:Sensitivity", "item:Body", "item:Categories", "item:LastModifiedTime",
    "calendar:RecurrenceId", "calendar:DateTimeStamp", "calendar:OriginalStart", "calendar:IsAllDayEvent",
    "calendar:LegacyFreeBusyStatus", "calendar:Location", "calendar:IsMeeting", "calendar:IsCancelled",
    "calendar:MyResponseType", "calendar:Organizer", "calendar:RequiredAttendees", "calendar:OptionalAttendees",
    "calendar:Resources", "calendar:AppointmentSequenceNumber", "calendar:StartTimeZone", *_HEAD,
)  # fmt: skip
_ANSWERS = {
    "Accept": Answer.ACCEPTED,
    "Decline": Answer.DECLINED,
    "Tentative": Answer.TENTATIVE,
    "Organizer": Answer.ACCEPTED,
    "NoResponseReceived": Answer.NONE,
}
_LISTS = {"RequiredAttendees": Role.REQUIRED, "OptionalAttendees": Role.OPTIONAL, "Resources": Role.RESOURCE}


class BrokenItem(ValueError):
    """An item that is no event. The text says why."""


def head_shape() -> Element:
    """What tells whether an item has anything in a window."""
    return item_shape(*map(field, _HEAD), *uid_paths())


def detail_shape() -> Element:
    """Everything that an event has, its text as text."""
    return item_shape(*map(field, _DETAIL), *uid_paths(), body_limit=_BODY_BYTES, body_type="Text")


@dataclass(frozen=True, slots=True)
class Reading:
    """Reads the items of one calendar. `mailbox` is whose copies these are; `owner` the zone of that person."""

    account: str
    calendar: str
    mailbox: str
    owner: Zone

    def single(self, ref: str, item: Element) -> CalendarEvent:
        """A single item. One that was cut out of a series that this mailbox does not have keeps its place in it. Raises
        BrokenItem."""
        start, end = _times(item)
        clock = clock_of(item, self.owner)
        told = moment(text(item, "RecurrenceId"))
        original = clock.original(told, told, all_day=_is(item, "IsAllDayEvent")) if told else None
        return self._event(ref, item, clock, start, end, original=original, exception=original is not None)

    def occurrence(self, ref: str, master: Element, seen: Seen) -> CalendarEvent:
        """An occurrence as its series has it. Raises BrokenItem."""
        clock = clock_of(master, self.owner)
        original = clock.original(seen.start, _times(master)[0], all_day=_is(master, "IsAllDayEvent"))
        return self._event(ref, master, clock, seen.start, seen.end, original=original)

    def exception(self, ref: str, master: Element, item: Element) -> CalendarEvent:
        """An occurrence that somebody changed. Raises BrokenItem."""
        start, end = _times(item)
        clock = clock_of(master, self.owner)
        told = moment(text(item, "OriginalStart")) or moment(text(item, "RecurrenceId"))
        if told is None:
            raise BrokenItem("a changed occurrence that does not say which one it was")
        original = clock.original(told, _times(master)[0], all_day=_is(master, "IsAllDayEvent"))
        return self._event(
            ref, item, clock_of(item, self.owner), start, end, original=original, exception=True, uid=uid_of(master)
        )

    def _event(
        self,
        ref: str,
        item: Element,
        clock: Clock,
        start: datetime,
        end: datetime,
        *,
        original: When | None,
        exception: bool = False,
        uid: str = "",
    ) -> CalendarEvent:
        notes = [clock.note] if clock.note else []
        all_day = _is(item, "IsAllDayEvent")
        first: When = clock.show(start)
        last: When = clock.show(end)
        if all_day:
            first, last, note = clock.days(start, end)
            notes += [note] if note else []
        name = uid or uid_of(item)
        if not name:
            name = f"exchange-{ref}"
            notes.append("no UID: it is known by its id")
        meeting = _is(item, "IsMeeting")
        answer = _ANSWERS.get(text(item, "MyResponseType")) if meeting else None
        return CalendarEvent(
            account=self.account,
            calendar=self.calendar,
            ref=ref,
            uid=name,
            original=original,
            exception=exception,
            sequence=_count(text(item, "AppointmentSequenceNumber")),
            stamped_at=moment(text(item, "DateTimeStamp")),
            changed_at=moment(text(item, "LastModifiedTime")),
            start=first,
            end=last,
            all_day=all_day,
            zone="" if all_day else clock.zone.name,
            status=_status(item),
            summary=_line(text(item, "Subject"), _SUMMARY),
            location=_line(text(item, "Location"), _LOCATION),
            text=text(item, "Body").replace("\r\n", "\n").strip()[:_TEXT],
            organizer=_address(child(item, "Organizer")) if meeting else None,
            attendees=tuple(self._attendees(item, answer, notes)) if meeting else (),
            answer=answer,
            private=text(item, "Sensitivity") not in ("", "Normal"),
            free=text(item, "LegacyFreeBusyStatus") == "Free",
            categories=tuple(_categories(item)),
            degraded=tuple(notes),
        )

    def _attendees(self, item: Element, own: Answer | None, notes: list[str]) -> Iterator[Attendee]:
        """Those invited, each with the answer where this copy knows it: the organizer's of everybody, any other of its
        owner alone."""
        listed = [(one, role) for name, role in _LISTS.items() for one in _children(item, name)]
        if len(listed) > _MOST_ATTENDEES:
            notes.append(f"more than {_MOST_ATTENDEES} attendees")
        for one, role in listed[:_MOST_ATTENDEES]:
            address = _address(one)
            if address is None:
                shown = text(one, "Mailbox", "Name") or text(one, "Mailbox", "EmailAddress")
                notes.append(f'an attendee without a mail address: "{shown[:40]}"')
                continue
            answer = _ANSWERS.get(text(one, "ResponseType"), Answer.NONE)
            mine = address.key == self.mailbox.lower() and answer is Answer.NONE and own is not None
            yield Attendee(address, own if mine and own is not None else answer, role)


def _times(item: Element) -> tuple[datetime, datetime]:
    start, end = moment(text(item, "Start")), moment(text(item, "End"))
    if start is None:
        raise BrokenItem("no start (calendar:Start)")
    return start, max(start, end or start)


def _status(item: Element) -> EventStatus:
    """An unanswered invitation stands as tentative in its calendar: only what an organizer shows so is meant so."""
    if _is(item, "IsCancelled"):
        return EventStatus.CANCELLED
    own = text(item, "MyResponseType") in ("", "Unknown", "Organizer")
    if own and text(item, "LegacyFreeBusyStatus") == "Tentative":
        return EventStatus.TENTATIVE
    return EventStatus.CONFIRMED


def _address(holder: Element | None) -> Address | None:
    """Somebody's address; None for one of the directory (routing type EX), of a person that is gone from it."""
    box = child(holder, "Mailbox") if holder is not None else None
    return address_of(text(box, "EmailAddress"), _line(text(box, "Name"), 200)) if box is not None else None


def _categories(item: Element) -> Iterator[str]:
    for one in _children(item, "Categories")[:50]:
        if name := _line(one.text or "", _CATEGORY):
            yield name


def _children(item: Element, name: str) -> list[Element]:
    found = child(item, name)
    return list(found) if found is not None else []


def _is(item: Element, name: str) -> bool:
    return text(item, name) == "true"


def _count(digits: str) -> int:
    return int(digits) if digits.isascii() and digits.isdecimal() and len(digits) < 10 else 0


def _line(value: str, limit: int) -> str:
    return " ".join(value.split())[:limit]
