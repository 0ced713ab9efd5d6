"""The neutral shapes of calendars, beside those of mail in `connectors.model`. Standard library only; all frozen.

An event crosses the boundary as its occurrences: a series of weekly meetings is one `CalendarEvent` for each week of
the window that was asked for. Times are aware and in the event's own zone; all-day events have dates.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum

from connectors.model import Address, Cursor, Unreadable

__all__ = [
    "NO_START",
    "ONWARD",
    "OWN_CATEGORY",
    "OWN_UID",
    "Answer",
    "Attendee",
    "CalendarBatch",
    "CalendarEvent",
    "CalendarReading",
    "EventStatus",
    "Invitation",
    "ItemKind",
    "Method",
    "OwnItem",
    "PlacedItem",
    "RawCalendar",
    "Role",
    "When",
    "Window",
    "original_key",
    "plain_uid",
    "series_key",
]

When = date | datetime
"""A day (all-day events, not a datetime) or an aware time."""

OWN_UID = "quietcrm-"
"""How the UID of every item begins that we lay into a calendar. What begins otherwise is not ours, whatever it says."""

OWN_CATEGORY = "CRM"
"""The category that every item of ours carries."""

NO_START = "no start of its own"
"""In `degraded` of a CANCEL or REPLY that does not say when the event is, and of a task without a day: its start is
when it was written."""

ONWARD = "and all that follow"
"""In `degraded` of a CANCEL of one occurrence and every later one (RANGE=THISANDFUTURE)."""

_OUTLOOK_UID = "040000008200e00074c5b7101a82e008"
_FOREIGN_UID = b"vCal-Uid\x01\0\0\0".hex()


class EventStatus(StrEnum):
    """STATUS of an event (RFC 5545 3.8.1.11)."""

    CONFIRMED = "confirmed"
    TENTATIVE = "tentative"
    CANCELLED = "cancelled"


class Answer(StrEnum):
    """What somebody answered to an invitation (PARTSTAT, RFC 5545 3.2.12)."""

    NONE = "needs-action"
    ACCEPTED = "accepted"
    DECLINED = "declined"
    TENTATIVE = "tentative"
    DELEGATED = "delegated"


class Role(StrEnum):
    """What somebody is invited as. Rooms and equipment are RESOURCE, whatever role they are given."""

    CHAIR = "chair"
    REQUIRED = "required"
    OPTIONAL = "optional"
    INFORMED = "informed"
    RESOURCE = "resource"


class Method(StrEnum):
    """What a calendar that came by mail wants (METHOD, RFC 5546)."""

    PUBLISH = "publish"
    REQUEST = "request"
    REPLY = "reply"
    ADD = "add"
    CANCEL = "cancel"
    REFRESH = "refresh"
    COUNTER = "counter"
    DECLINECOUNTER = "declinecounter"


@dataclass(frozen=True, slots=True)
class Window:
    """The time events are wanted of: those that overlap [start, end), both aware."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Attendee:
    """One of those invited. `sent_by` acted for them (SENT-BY), None where nobody is named."""

    address: Address
    answer: Answer = Answer.NONE
    role: Role = Role.REQUIRED
    sent_by: Address | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CalendarEvent:
    """One occurrence of an event.

    account, calendar   where this copy lies; `calendar` is the display name
    ref                 names the object that holds it in its calendar (CalDAV: the href; Graph, EWS: the item's id)
    uid                 the same in every attendee's calendar; see `series_key`
    original            of a series, when this occurrence would begin had nobody moved it: aware UTC, or a date if the
                        series is all-day. None for a single event
    exception           somebody changed this occurrence alone
    sequence, stamped_at  SEQUENCE and DTSTAMP: the higher pair is the newer state
    start, end          aware, in the event's own zone, or dates; `end` is not part of it. Equal for a mere moment.
                        Compare instants in UTC: times of two zones are never equal in an overlap (PEP 495)
    zone                IANA name of the zone; "" for fixed offsets, UTC and dates
    zone_unclear        the event names no zone that can be known (or floats), so another one was assumed: no reminder
                        by the minute may rest on it
    text                the description, at most 20,000 characters
    organizer           None for an appointment of one's own; `organizer_by` acted for them
    answer              what the owner of this calendar answered, where the protocol tells
    private             CLASS is not PUBLIC, or the sensitivity says so: nothing of it may be stored or shown
    free                takes no time (TRANSP:TRANSPARENT), as birthdays do
    degraded            what was missing or guessed
    """

    account: str
    calendar: str
    ref: str
    uid: str
    original: When | None = None
    exception: bool = False
    sequence: int = 0
    stamped_at: datetime | None = None
    changed_at: datetime | None = None
    start: When
    end: When
    all_day: bool = False
    zone: str = ""
    zone_unclear: bool = False
    status: EventStatus = EventStatus.CONFIRMED
    summary: str = ""
    location: str = ""
    text: str = ""
    organizer: Address | None = None
    organizer_by: Address | None = None
    attendees: tuple[Attendee, ...] = ()
    answer: Answer | None = None
    private: bool = False
    free: bool = False
    categories: tuple[str, ...] = ()
    degraded: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[str, str]:
        """The same for one occurrence in all calendars and protocols: (series_key of the UID, original start)."""
        return series_key(self.uid), original_key(self.original)

    @property
    def is_ours(self) -> bool:
        """An item that quietcrm itself laid there. Whoever is invited is invited by somebody else, whatever the UID."""
        return plain_uid(self.uid).startswith(OWN_UID) and not self.attendees

    @property
    def rank(self) -> tuple[int, datetime]:
        """Orders the states of one event, the newest last (RFC 5546 2.1.5)."""
        return self.sequence, self.stamped_at or datetime.min.replace(tzinfo=UTC)


def series_key(uid: str) -> str:
    """A UID in the form in which UIDs are compared. Outlook's own (a GlobalObjectId in hex) hold the date of the
    occurrence in bytes 16 to 19 and come in either case; all others are compared as they are (MS-OXOCAL 2.2.1.27)."""
    plain = plain_uid(uid)
    lower = plain.lower()
    return f"{lower[:32]}00000000{lower[40:]}" if lower.startswith(_OUTLOOK_UID) else plain


def plain_uid(uid: str) -> str:
    """A UID without what Exchange wraps around those that others made: a GlobalObjectId in hex, with the UID behind the
    word vCal-Uid (MS-OXCICAL 2.1.3.1.1.20.26). Any other as it is."""
    lower = uid.lower()
    if not lower.startswith(_OUTLOOK_UID) or lower[80:104] != _FOREIGN_UID:
        return uid
    try:
        return bytes.fromhex(lower[104:]).partition(b"\0")[0].decode("utf-8") or uid
    except ValueError:
        return uid


def original_key(original: When | None) -> str:
    """ "20261130T090000Z", "20261130" for a day, "" for a single event."""
    if original is None:
        return ""
    if isinstance(original, datetime):
        return original.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    return original.strftime("%Y%m%d")


@dataclass(frozen=True, slots=True, kw_only=True)
class RawCalendar:
    """A calendar object as a server or a file gave it, on its way to the parser.

    zone      IANA name of the zone that floating times and unknown zones are read in
    window    None reads everything; of a series then at most two years from its beginning
    tasks     read VTODO instead of VEVENT
    """

    account: str
    calendar: str
    ref: str
    data: bytes
    zone: str = "UTC"
    window: Window | None = None
    tasks: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CalendarReading:
    """What a calendar object holds. Each broken event is an `Unreadable` of its own; the others are there.

    method    of the calendar; None if it states none we know
    notes     what was odd of the calendar as a whole
    """

    method: Method | None = None
    events: tuple[CalendarEvent, ...] = ()
    unreadable: tuple[Unreadable, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Invitation:
    """A calendar that came with a mail (RFC 6047). `connectors.ical.scheduling` tells what it means.

    events    occurrences from the day before the mail came on, over two years, at most 100; what was known of a UID
              before is replaced by them. A CANCEL or REPLY may have no start of its own: then `degraded` says so
    data      the calendar as it came, for a look at later occurrences; "" beyond 64 kB
    degraded  what could not be read
    """

    method: Method
    events: tuple[CalendarEvent, ...] = ()
    data: str = field(default="", repr=False)
    degraded: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CalendarBatch:
    """One answer of a calendar source. Store all of it with the cursor in one transaction, or nothing.

    read        (calendar, ref) of every object read whole: `events` holds all of its occurrences in the window, so what
                was known of it before and is missing now has been moved out of the window or taken off the series
    events      in no order. Cancelled ones are there, with their status
    unreadable  of objects that are there; what was known of them stays
    removed     (calendar, ref) of objects that are no longer there. Not a cancellation: look before you act
    calendars   every calendar read now, as display names
    """

    events: tuple[CalendarEvent, ...] = ()
    read: tuple[tuple[str, str], ...] = ()
    unreadable: tuple[Unreadable, ...] = ()
    removed: tuple[tuple[str, str], ...] = ()
    cursor: Cursor
    more: bool = False
    calendars: tuple[str, ...] = ()


class ItemKind(StrEnum):
    """What we lay into a calendar."""

    EVENT = "event"
    TASK = "task"


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnItem:
    """A reminder in a rep's own calendar. It has no attendees: nobody is ever invited by it.

    uid       begins with `OWN_UID` and stays the same as long as the matter does
    start     of a task when it is due, or None; `end` None = as long as its start (a moment, or the day)
    alarm     how long before the start the calendar program rings; None = not at all
    done      of a task: it is ticked off
    """

    uid: str
    kind: ItemKind = ItemKind.EVENT
    summary: str
    text: str = ""
    start: When | None
    end: When | None = None
    alarm: timedelta | None = None
    done: bool = False
    sequence: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedItem:
    """An item of ours as it lies in a calendar now, changed by its owner or not.

    revision  changes with every change of it (an ETag, a ChangeKey)
    start     where its owner moved it: a later one than we wrote is a snooze
    done      a task ticked off, an event set to cancelled
    ours      False once its owner invited somebody by it: then it is theirs and we do not touch it any more
    text      its description, None where it is not told
    written   whether a `put` wrote it. False: it had been changed meanwhile and was left as it is
    """

    calendar: str
    ref: str
    revision: str
    uid: str
    kind: ItemKind
    summary: str = ""
    text: str | None = None
    start: When | None = None
    end: When | None = None
    done: bool = False
    ours: bool = True
    written: bool = True
