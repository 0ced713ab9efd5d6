"""What is at hand while a batch of a calendar, or the invitations of a mail, are worked through."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from sqlmodel import Session

from connectors.calendars import CalendarEvent
from daemon.counts import Counts
from daemon.office import Office
from rules.facts import Directory
from rules.triggers import ANSWERED, BOOKED, HELD, MOVED, SOON
from store import meetings
from store.meetings import MeetingRow
from store.tables import MeetingCopy

STANDING = (SOON, HELD, BOOKED, MOVED, ANSWERED)
"""What comes true of a meeting that stands."""


@dataclass(frozen=True, slots=True)
class Sign:
    """What happened to a meeting. `which` tells it from other times the same happened to it."""

    word: str
    meeting: int
    which: str
    at: datetime
    seen: str = ""


@dataclass(slots=True)
class Work:
    """One batch of one calendar, or of invitations, while it is worked through.

    since       when this pass began; reached: until when the window reached the last time; last: when that was
    known       identity -> meeting; `copies` of them
    """

    session: Session
    office: Office
    now: datetime
    account: str
    rep: str
    directory: Directory
    since: datetime
    baselines: Mapping[str, datetime] = field(default_factory=dict)
    reached: datetime | None = None
    last: datetime | None = None
    known: dict[str, MeetingRow] = field(default_factory=dict)
    copies: dict[int, list[MeetingCopy]] = field(default_factory=dict)
    series: set[str] = field(default_factory=set)
    remembered: set[str] = field(default_factory=set)
    signs: list[Sign] = field(default_factory=list)
    box_rep: str = ""
    counts: Counts = field(default_factory=Counts)

    def copy(self, number: int, calendar: str) -> MeetingCopy | None:
        """The copy of a meeting in a calendar of this account."""
        mine = self.copies.get(number, ())
        return next((one for one in mine if (one.account, one.calendar) == (self.account, calendar)), None)

    def whose(self, number: int) -> list[int]:
        """The customers of a meeting."""
        return meetings.customers_of(self.session, [number]).get(number, [])


def identity(event: CalendarEvent) -> str:
    """The identity of an occurrence in the history."""
    return meetings.identity_of(*event.key)
