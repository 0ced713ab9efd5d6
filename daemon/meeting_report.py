"""What became of meetings, and what was booked after them. Reads only; what leaves no entry in the history, private and
internal meetings, is not here either."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlmodel import Session

from daemon.meeting_times import occasions_of, stands, we_came, without_twins
from daemon.office import Office
from rules.clock import instant
from rules.meetings import all_declined, somebody_came
from store import meetings
from store.hashing import HashKey
from store.meetings import MeetingRow

HELD, MISSED, CANCELLED, GONE, AHEAD, UNHEARD = "held", "missed", "cancelled", "gone", "ahead", "declined by us"
ROOTS = timedelta(days=90)
"""So long after a meeting was held, one that is booked counts as its follow-up."""
_EVER = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Span:
    """From the first moment of a day until that of another one, in a zone."""

    since: datetime
    until: datetime

    @classmethod
    def of_days(cls, first: date, after: date, zone: ZoneInfo) -> Span:
        """From `first` until `after`, which is not part of it."""
        return cls(instant(first, 0, zone), instant(after, 0, zone))

    @classmethod
    def of_month(cls, day: date, zone: ZoneInfo) -> Span:
        """The month that a day lies in."""
        return cls.of_days(day.replace(day=1), next_month(day), zone)


def next_month(day: date) -> date:
    """The first of the month after."""
    return (day.replace(day=1) + timedelta(days=32)).replace(day=1)


@dataclass(slots=True, kw_only=True)
class MeetingReport:
    """The answers, about everybody or one customer, about the whole team or one rep. `zone`: where days begin."""

    session: Session
    office: Office
    key: HashKey
    now: datetime
    zone: ZoneInfo
    customer: int | None = None
    rep: str = ""

    def answers(self, month: date) -> dict[str, Any]:
        """The shape of `report meetings --json`.

        last_week, month, next_month   {from, until, held, moved, missed, cancelled, other, ahead: [meeting]}; `moved`:
                     those that were moved then, whenever they are, the others by their beginning
        follow_ups   meetings booked in the month after one with the same customer was held
        last_met, next_meeting   of the customer; None for everybody, or if there is none
        """
        this_month = Span.of_month(month, self.zone)
        today = self.now.astimezone(self.zone).date()
        monday = today - timedelta(days=today.weekday())
        week = Span.of_days(monday - timedelta(days=7), monday, self.zone)
        last, ahead = self._around() if self.customer is not None else (None, None)
        return {
            "zone": str(self.zone),
            "last_week": self._of(week),
            "month": {"month": f"{month:%Y-%m}", **self._of(this_month)},
            "follow_ups": self._follow_ups(this_month),
            "next_month": {
                "month": f"{next_month(month):%Y-%m}",
                **self._of(Span.of_month(next_month(month), self.zone)),
            },
            "last_met": last,
            "next_meeting": ahead,
        }

    def _of(self, span: Span) -> dict[str, Any]:
        told = self.told(meetings.starting(self.session, span.since, span.until))
        parts = {fate: [one for one in told if one["became"] == fate] for fate in (HELD, MISSED, CANCELLED, AHEAD)}
        moved = self.told(meetings.moved(self.session, span.since, span.until))
        other = [one for one in told if one["became"] not in parts]
        edges = {"from": span.since.astimezone(self.zone), "until": span.until.astimezone(self.zone)}
        return {**edges, **parts, "moved": moved, "other": other}

    def _follow_ups(self, span: Span) -> list[dict[str, Any]]:
        booked = self._mine(meetings.first_seen(self.session, span.since, span.until))
        whose = meetings.customers_of(self.session, {row.id for row in booked})
        held = {one: self._held(one, span.since - ROOTS, span.until) for numbers in whose.values() for one in numbers}
        after = [
            row
            for row in booked
            if any(
                row.created_at - ROOTS <= end <= min(row.created_at, row.start_at)
                for customer in whose.get(row.id, ())
                for end in held[customer]
            )
        ]
        return self.told(after)

    def _held(self, customer: int, since: datetime, until: datetime) -> list[datetime]:
        """When meetings with a customer ended that took place."""
        rows = meetings.of_customer(self.session, customer, since, until)
        fates = self._fates(rows)
        return [row.end_at for row in rows if fates.get(row.id) == HELD]

    def _around(self) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
        """When we last met the customer, and when we meet again."""
        assert self.customer is not None
        told = self.told(meetings.of_customer(self.session, self.customer, _EVER, self.now + timedelta(days=3660)))
        held = [one for one in told if one["became"] == HELD]
        ahead = [one for one in told if one["became"] == AHEAD]
        return held[-1] if held else None, ahead[0] if ahead else None

    def _mine(self, rows: Iterable[MeetingRow]) -> list[MeetingRow]:
        """Those that are asked about, each meeting once, by their beginning."""
        found = [row for row in rows if not self.rep or row.rep == self.rep]
        if self.customer is not None:
            whose = meetings.customers_of(self.session, {row.id for row in found})
            found = [row for row in found if self.customer in whose.get(row.id, ())]
        return sorted(without_twins(found), key=lambda row: (row.start_at, row.id))

    def told(self, rows: Iterable[MeetingRow]) -> list[dict[str, Any]]:
        """Those that are asked about, with what became of them, by their beginning."""
        mine = self._mine(rows)
        fates = self._fates(mine)
        names = meetings.names_of(self.session, {row.id for row in mine})
        return [self._plain(row, names.get(row.id, []), fates[row.id]) for row in mine]

    def _plain(self, row: MeetingRow, names: Sequence[str], fate: str) -> dict[str, Any]:
        return {
            "id": row.id,
            "start": row.start_day or row.start_at.astimezone(self.zone),
            "end": row.end_day or row.end_at.astimezone(self.zone),
            "all_day": row.start_day is not None,
            "customers": list(names),
            "rep": row.rep,
            "title": row.title,
            "place": row.place,
            "became": fate,
            "moves": row.moves,
            "moved_at": row.moved_at and row.moved_at.astimezone(self.zone),
            "booked_at": row.created_at.astimezone(self.zone) if row.known_at else None,
        }

    def _fates(self, rows: Collection[MeetingRow]) -> dict[int, str]:
        return fates(self.session, self.key, self.office, rows, self.now)


def fates(
    session: Session, key: HashKey, office: Office, rows: Collection[MeetingRow], now: datetime
) -> dict[int, str]:
    """Meeting -> what became of it, by the same signs that rules go by."""
    copies = meetings.copies_of(session, {row.id for row in rows})
    seen = defaultdict(list)
    for row, _, facts in occasions_of(session, key, office, list(rows)):
        seen[row.id].append(facts)
    found = {}
    for row in rows:
        mine, sides = copies.get(row.id, ()), seen[row.id]
        if row.cancelled:
            found[row.id] = CANCELLED
        elif not stands(row, mine):
            found[row.id] = GONE
        elif row.missed_at is not None:
            found[row.id] = MISSED
        elif row.end_at > now:
            found[row.id] = AHEAD
        elif we_came(row, mine, office) and any(somebody_came(one) for one in sides):
            found[row.id] = HELD
        else:
            found[row.id] = MISSED if any(all_declined(one) for one in sides) else UNHEARD
    return found
