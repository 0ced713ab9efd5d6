"""Meetings as rules see them, and which of them come true by the clock: soon, held, missed. Reads only."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlmodel import Session

from connectors.model import Address
from daemon.directory import directory_for
from daemon.office import Office
from rules.coming import meeting_moment
from rules.facts import Directory
from rules.ladder import match
from rules.meetings import DECLINED, all_declined, mail_between, somebody_came
from rules.moments import Delay
from rules.occasion import Attendee, MeetingFacts, Occasion
from rules.office import office_of
from rules.triggers import HELD, MISSED, SOON, Trigger
from store import meetings
from store.hashing import HashKey
from store.meetings import MeetingRow, is_like
from store.tables import MeetingCopy

_IN_DAYS = {"minute": 1, "hour": 1, "day": 1, "week": 7, "month": 31, "year": 366}


def box_of(calendar: str) -> str:
    """The name under which the state of `calendars.NAME` is kept beside those of mailboxes."""
    return f"calendars.{calendar}"


class Seeing:
    """Meetings as rules see them, for some of them at once."""

    def __init__(self, session: Session, key: HashKey, office: Office, rows: Sequence[MeetingRow]) -> None:
        self._settings = office.settings
        mails = [mail_between(_address(row.organizer), _people(row), row.title) for row in rows]
        self._directory = directory_for(session, key, office.settings, mails) if rows else Directory()

    def facts(self, row: MeetingRow, customer: int, several: bool) -> MeetingFacts:
        """The meeting from the side of one customer. Strangers belong to it unless it has `several` customers."""
        return MeetingFacts(
            uid=row.uid,
            title=row.title,
            start=row.start_at,
            end=row.end_at,
            place=row.place,
            attendees=tuple(self._theirs(row, customer, several)),
            rep=row.rep,
        )

    def _theirs(self, row: MeetingRow, customer: int, several: bool) -> Iterator[Attendee]:
        invited = [Attendee(address=Address(one["email"], one["name"]), answer=one["answer"]) for one in row.attendees]
        if row.organizer and row.organizer.lower() not in {one.address.key for one in invited}:
            invited.insert(0, Attendee(address=Address(row.organizer), answer="accepted"))
        for one in invited:
            if self._settings.is_internal(one.address.key):
                continue
            whose = match(mail_between(None, [one.address], ""), self._directory, self._settings).customers
            if customer in whose or not (whose or several):
                yield one


def occasions_of(
    session: Session, key: HashKey, office: Office, rows: Sequence[MeetingRow]
) -> Iterator[tuple[MeetingRow, int, MeetingFacts]]:
    """Each of the meetings for each of its customers."""
    seeing = Seeing(session, key, office, rows)
    whose = meetings.customers_of(session, {row.id for row in rows})
    for row in rows:
        mine = whose.get(row.id, [])
        for customer in mine:
            yield row, customer, seeing.facts(row, customer, len(mine) > 1)


def stands(row: MeetingRow, copies: Sequence[MeetingCopy]) -> bool:
    """Whether it is neither called off nor gone from every calendar that had it."""
    return not row.cancelled and (not copies or any(one.gone_at is None for one in copies))


def we_came(row: MeetingRow, copies: Sequence[MeetingCopy], office: Office) -> bool:
    """Whether one of us did not decline: by the calendars that have it, else by the list of those invited."""
    if copies:
        return any(one.gone_at is None and one.answer != DECLINED for one in copies)
    internal = office.settings.is_internal
    ours = [one["answer"] for one in row.attendees if internal(one["email"])]
    return internal(row.organizer) if not ours else any(answer != DECLINED for answer in ours)


@dataclass(slots=True, kw_only=True)
class MeetingTimes:
    """What comes true around meetings in a span of time."""

    session: Session
    office: Office
    key: HashKey
    now: datetime

    def come_true(self, trigger: Trigger, since: datetime, until: datetime) -> Iterator[Occasion]:
        """The occasions after `since`, until `until`."""
        for row, customer, facts, at in self._coming(trigger, since, until):
            yield occasion_of_meeting(trigger.words, row, customer, facts, at, row.start_at.isoformat())

    def numbers(self, trigger: Trigger, since: datetime, until: datetime) -> set[int]:
        """The meetings for which it comes true then, as far as is known now."""
        return {row.id for row, _, _, _ in self._coming(trigger, since, until)}

    def moment_of(self, trigger: Trigger, row: MeetingRow, facts: MeetingFacts) -> datetime | None:
        """When it comes or came true for one meeting as things stand: None for never, now where no clock decides.

        What is soon is told of a meeting that has begun as well.
        """
        if trigger.word not in (SOON, HELD, MISSED):
            return self.now
        copies = meetings.copies_of(self.session, [row.id])
        if not stands(row, copies.get(row.id, ())):
            return None
        before = replace(self, now=min(self.now, row.start_at - timedelta(microseconds=1)))
        return before._moment(trigger, row, facts, copies)

    def _coming(
        self, trigger: Trigger, since: datetime, until: datetime
    ) -> Iterator[tuple[MeetingRow, int, MeetingFacts, datetime]]:
        rows = self._rows(trigger, since, until)
        copies = meetings.copies_of(self.session, {row.id for row in rows})
        rows = without_twins(row for row in rows if stands(row, copies.get(row.id, ())))
        for row, customer, facts in occasions_of(self.session, self.key, self.office, rows):
            at = self._moment(trigger, row, facts, copies)
            if at is not None and since < at <= until:
                yield row, customer, facts, at

    def _rows(self, trigger: Trigger, since: datetime, until: datetime) -> list[MeetingRow]:
        if trigger.word == MISSED:
            found = meetings.ending(self.session, since, until)
            return list({row.id: row for row in [*found, *self._marked(since, until)]}.values())
        reach = _reach(trigger.length)
        if trigger.word == SOON:
            return meetings.starting(self.session, since, until + reach)
        return meetings.ending(self.session, since - reach, until)

    def _marked(self, since: datetime, until: datetime) -> list[MeetingRow]:
        """Those that were marked in the span, and those marked before they began."""
        begun = meetings.starting(self.session, since, until + timedelta(microseconds=1))
        return [*meetings.marked_missed(self.session, since, until), *(row for row in begun if row.missed_at)]

    def _moment(
        self, trigger: Trigger, row: MeetingRow, facts: MeetingFacts, copies: Mapping[int, Sequence[MeetingCopy]]
    ) -> datetime | None:
        """When it comes true, None if it does not."""
        if not facts.attendees:
            return None  # nobody of the customer is invited, or not any more
        if trigger.word == MISSED:
            if row.missed_at is not None:
                return max(row.missed_at, row.start_at)
            return row.end_at if all_declined(facts) else None
        moment = meeting_moment(trigger, facts, office_of(self.office.settings).hours)
        if trigger.word == HELD:
            there = we_came(row, copies.get(row.id, ()), self.office) and somebody_came(facts)
            return moment if there and row.missed_at is None else None
        if row.start_at <= self.now:
            return None  # nobody prepares for what has begun
        if row.zone_unclear and _by_the_minute(trigger):
            return None
        # Booked or moved to a time so near that the moment was over: then it is soon at once.
        return max(moment, row.known_at) if row.known_at is not None else moment


def _by_the_minute(trigger: Trigger) -> bool:
    """Whether it comes by the minute: where the zone of a meeting is not known, that may be hours off."""
    return trigger.word == SOON and trigger.length is not None and trigger.length.unit in ("minute", "hour")


def without_twins(rows: Iterable[MeetingRow]) -> list[MeetingRow]:
    """While a series is split, the old and the new one may stand side by side: of each meeting the elder counts."""
    found: list[MeetingRow] = []
    for row in sorted(rows, key=lambda row: row.id):
        if not any(one.start_at == row.start_at and is_like(one, row) for one in found):
            found.append(row)
    return found


def occasion_of_meeting(
    words: str, row: MeetingRow, customer: int, facts: MeetingFacts, at: datetime, which: str, seen: str = ""
) -> Occasion:
    """A trigger come true for a meeting and one of its customers. `which`: the time of it that this is."""
    return Occasion(
        when=words,
        event=f"{words}|meeting {row.id}|{which}|customer {customer}",
        at=at,
        seen=seen or f"{row.start_at:%Y-%m-%d %H:%M} UTC",
        customer_id=customer,
        meeting=facts,
    )


def _reach(length: Delay | None) -> timedelta:
    """How far from the meeting its moment may lie at most: business days skip weekends and holidays."""
    assert length is not None
    days = length.count * _IN_DAYS[length.unit]
    return timedelta(days=3 * days + 22 if length.business else days + 1)


def _address(email: str) -> Address | None:
    return Address(email) if email else None


def _people(row: MeetingRow) -> Collection[Address]:
    return [Address(one["email"], one["name"]) for one in row.attendees]
