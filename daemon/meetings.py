"""From calendars and invitations to meetings in the history, and to the rules that wait for what happened to them.

One transaction a batch: what was seen, what became of it, what rules did about it and the position in the calendar, all
or nothing. So a change is told once, whatever is read again. A meeting is one row whoever's calendar it stands in; each
copy is remembered with what it said last, and only what is new in a copy counts, if it is no older than what is known.

What leaves no row: our own items, private ones, those of our own people alone, never-log, and mass invitations. Of a
meeting with people nobody knows keyed hashes stay, as of mail.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from sqlmodel import Session

from connectors.calendars import CalendarBatch, CalendarEvent, Window
from connectors.model import Cursor, Message
from daemon.clock import Clock
from daemon.counts import Counts
from daemon.directory import contact_ids, directory_for
from daemon.invitations import replaced, standing, uids_in
from daemon.meeting_people import come_and_go, is_usurped, join
from daemon.meeting_signs import tell
from daemon.meeting_state import answer_of, digest_of, heard, state_of
from daemon.meeting_times import box_of
from daemon.meeting_work import STANDING, Sign, Work, identity
from daemon.occasions import Occasions
from daemon.settling import withdraw_for
from daemon.strangers import stranger_meeting
from daemon.vanished import PATIENCE, called_off, follow, has_twin, vanish
from rules.decision import Match
from rules.engine import forbidden
from rules.ladder import match
from rules.meetings import as_mail, is_marked_missed, is_mass, is_private
from rules.office import office_of
from rules.triggers import ANSWERED, BOOKED, CALLED_OFF, HELD, MISSED, MOVED, SOON
from store import accounts, meetings, unmatched
from store.hashing import HashKey
from store.meetings import CANCELLED, MeetingRow, MeetingState
from store.sightings import add_sightings, sighted
from store.tables import MeetingCopy

log = structlog.get_logger()

OFFLINE = timedelta(days=1)
"""So much later than it was made an event may reach its server."""
_ALL = (*STANDING, MISSED, CALLED_OFF)
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


class Meetings:
    """Handles what calendars say. Thread-safe: one batch at a time, in turn with the look for occasions."""

    def __init__(self, key: HashKey, clock: Clock, occasions: Occasions) -> None:
        self._store, self._key, self._clock, self._occasions = occasions.store, key, clock, occasions

    def start(self, account: str, now: datetime) -> Cursor | None:
        """Begin a pass: the calendar's state exists afterwards (its baseline is `now` at first contact); its cursor."""
        with self._store.writing() as session:
            accounts.begin(session, box_of(account), now)
            return accounts.load_cursor(session, box_of(account))

    def handle(
        self,
        account: str,
        batch: CalendarBatch,
        window: Window,
        *,
        since: datetime,
        last: datetime | None,
        reach: timedelta,
    ) -> Counts:
        """Write one batch. `since`: when this pass began; `last`: when the last one ended well; `reach`: how far ahead
        the window goes."""
        with self._occasions.turn, self._store.writing() as session:
            box = box_of(account)
            baselines = accounts.folder_baselines(session, box, batch.calendars, since)
            work = self._begin(session, account, batch.events, since)
            work.baselines, work.last = baselines, last
            work.reached = last + reach if last else None
            vanish(work, batch, window)
            for event in batch.events:
                self._event(work, event)
            for bad in batch.unreadable:
                work.counts.seen += 1
                work.counts.failed += 1
                log.warning("event.unreadable", account=box, ref=bad.ref, reason=bad.reason)
            tell(work, self._key, self._occasions)
            if batch.cursor:
                accounts.save_cursor(session, box, batch.cursor)
        return work.counts

    def call_off(self, account: str) -> int:
        """Meetings of ours that are gone from every calendar for good were called off; how many."""
        now = self._clock.now()
        with self._occasions.turn, self._store.writing() as session:
            gone = meetings.lost(session, account, now - PATIENCE, now)
            work = self._begin(session, account, (), now)
            rows = called_off(session, work.office, gone)
            for row in rows:
                self._cancel(work, row, "it was taken out of every calendar")
            tell(work, self._key, self._occasions)
        return len(rows)

    def due(self, account: str) -> list[tuple[int, str, str]]:
        """(number, calendar, ref) of events whose people are known by now."""
        with self._store.session() as session:
            return [(row.id, row.folder, row.ref) for row in unmatched.due(session, box_of(account))]

    def handle_late(self, account: str, batch: CalendarBatch, gone: Collection[int]) -> Counts:
        """Events of people who are known by now. Sets nothing off."""
        with self._occasions.turn, self._store.writing() as session:
            unmatched.forget(session, gone)
            now = self._clock.now()
            work = self._begin(session, account, batch.events, now)
            work.baselines = defaultdict(lambda: now)
            for event in batch.events:
                self._event(work, event)
        return work.counts

    def take_mail(self, session: Session, message: Message, *, past: bool) -> None:
        """What a mail of the history says of meetings, inside the caller's transaction; the caller holds the turn."""
        known = meetings.of_series(session, uids_in(message))
        found = standing(message, known, self._occasions.office)
        events = [replace(event, calendar="", ref="") for event in found.events]  # where a mail lies is a sighting
        work = self._begin(session, message.account, events, message.received_at)
        account = work.office.settings.accounts.get(message.account)
        work.rep, work.box_rep = "", (account.rep or "") if account else ""
        work.baselines = {"": message.received_at if past else _LONG_AGO}
        work.last = message.received_at
        gone = replaced(message, found, known)
        moved = follow(work, events, gone)
        for event in events:
            self._event(work, event)
        self._take_off(work, [row for row in gone if row.id not in moved])
        said = {identity(event) for invitation in message.invitations for event in invitation.events}
        here = [row for name, row in work.known.items() if name in said]
        add_sightings(session, [sighted(row.id, message) for row in here])
        tell(work, self._key, self._occasions)

    @property
    def turn(self) -> threading.Lock:
        """To be held while mails with invitations are written."""
        return self._occasions.turn

    def _take_off(self, work: Work, rows: Sequence[MeetingRow]) -> None:
        """The organizer's newest invitation to the series is without them. Of what stands in a calendar that says so
        itself."""
        copies = meetings.copies_of(work.session, {row.id for row in rows})
        for row in rows:
            if all(one.gone_at is not None for one in copies.get(row.id, ())):
                self._cancel(work, row, "its organizer took it off its series")

    # --- one batch

    def _begin(self, session: Session, account: str, events: Sequence[CalendarEvent], since: datetime) -> Work:
        office = self._occasions.office
        settings = office.settings
        names = {identity(event) for event in events}
        known = meetings.find(session, names)
        uids = {event.key[0] for event in events}
        calendars = settings.calendars
        return Work(
            session=session,
            office=office,
            now=self._clock.now(),
            account=account,
            rep=(settings.calendar_owner(account) or "") if account in calendars else "",
            directory=directory_for(session, self._key, settings, [as_mail(event) for event in events], office.rules),
            since=since,
            known=known,
            copies=meetings.copies_of(session, {row.id for row in known.values()}),
            series={row.uid for row in meetings.of_series(session, uids)},
            remembered=unmatched.known(session, {self._key.identity(name) for name in names}),
        )

    def _event(self, work: Work, event: CalendarEvent) -> None:
        """One occurrence in one calendar."""
        work.counts.seen += 1
        known = work.known.get(identity(event))
        why, found = self._left_out(work, event)
        if why in ("private", "never_log") and known is not None:
            self._hide(work, known, event.calendar)
        if why and (known is None or why in ("own", "private", "never_log")):
            if why == "unmatched":
                work.counts.unmatched += 1
                self._remember(work, event, found)
            else:
                work.counts.skipped[why] += 1
            return
        if known is None:
            self._new(work, event, found)
        else:
            work.counts.duplicate += 1
            self._again(work, event, known, found)

    def _left_out(self, work: Work, event: CalendarEvent) -> tuple[str, Match]:
        """Why it does not belong into the history, "" if it does; and whose it is."""
        mail, settings = as_mail(event), work.office.settings
        found = match(mail, work.directory, settings)
        if event.is_ours:
            return "own", found
        if is_private(event):
            return "private", found
        if not found.outside:
            return "internal", found
        if forbidden(mail, found, work.directory, office_of(settings)):
            return "never_log", found
        if is_mass(found, office_of(settings)):
            return "mass", found
        return ("" if found.customers else "unmatched"), found

    def _remember(self, work: Work, event: CalendarEvent, found: Match) -> None:
        """So that it is read again when its people become known. A mail is remembered as such."""
        if event.ref:
            row = stranger_meeting(self._key, work.office.settings, work.account, event, found, work.now)
            unmatched.remember(work.session, [row])

    def _new(self, work: Work, event: CalendarEvent, found: Match) -> None:
        state = state_of(event, work.office.settings.zone)
        past = self._is_past(work, event, state)
        number = meetings.record(
            work.session,
            state,
            customers={one: found.rungs.get(one, "") for one in found.customers},
            contacts=contact_ids(work.directory, as_mail(event)),
            rep=work.rep or work.office.settings.rep_of(state.organizer) or work.box_rep,
            direction="out" if not state.organizer or work.office.settings.is_internal(state.organizer) else "in",
            backfill=past,
            now=work.now,
            trace={"who": [asdict(answer) for answer in found.answers]} if len(found.answers) > 1 else None,
            config_hash=work.office.hash,
        )
        if number is None:
            return
        work.counts.logged += 1
        row = meetings.by_numbers(work.session, [number])[number]
        work.known[row.identity] = row
        self._put_copy(work, event, row, past)
        first = state.uid not in work.series
        work.series.add(state.uid)
        if first and not past and not row.cancelled and row.start_at > work.now and not has_twin(work, row):
            work.signs.append(Sign(BOOKED, number, row.series, self._at(work, event)))

    def _again(self, work: Work, event: CalendarEvent, row: MeetingRow, found: Match) -> None:
        """A copy of a meeting that is known: what is new in it counts, if it is no older than what is known. What
        came by mail was weighed against that before."""
        copy = work.copy(row.id, event.calendar) if event.ref else None
        digest = digest_of(event)
        if copy is not None and copy.gone_at is None and (copy.digest, copy.ref) == (digest, event.ref):
            return
        # What changed in a copy since we saw it is new, whatever its stamps say.
        past = self._is_past(work, event, None) if copy is None else self._is_first_look(work, event)
        said = state_of(event, work.office.settings.zone)
        if copy is None or copy.gone_at is not None or copy.digest != digest:
            if is_usurped(work, event, row, said):
                log.warning("meeting.left", account=box_of(work.account), ref=event.ref, organizer=said.organizer)
                return
            newer = self._is_newer(work, event, row, said, fresh=copy is None and bool(event.ref))
            if newer:
                join(work, row, said, found)
            self._take(work, event, row, said, past, newer=newer)
            come_and_go(work, self._key, row, past)
        row = meetings.by_numbers(work.session, [row.id])[row.id]
        work.known[row.identity] = row
        self._put_copy(work, event, row, past)

    def _is_newer(self, work: Work, event: CalendarEvent, row: MeetingRow, said: MeetingState, *, fresh: bool) -> bool:
        """Whether what it says counts instead of what is known."""
        if said.status == CANCELLED and not row.cancelled and self._at(work, event) >= row.end_at:
            return False  # it has taken place: a series that ends, or is tidied up, calls nothing off that was held
        rank, before = _rank(said.sequence, said.stamped_at), _rank(row.sequence, row.stamped_at)
        return rank > before or (rank == before and not fresh)

    def _take(
        self, work: Work, event: CalendarEvent, row: MeetingRow, said: MeetingState, past: bool, *, newer: bool
    ) -> None:
        people = heard(row.attendees, said, work.rep, work.office.settings, reset=said.sequence > row.sequence)
        if not newer:  # an older copy knows of answers, not of who is invited by now
            told = {one["email"].lower(): one["answer"] for one in people}
            people = [{**one, "answer": told.get(one["email"].lower(), one["answer"])} for one in row.attendees]
        state = replace(said if newer else _as_known(row), attendees=people)
        further: dict[str, Any] = {"cancelled_at": None} if newer and state.status != CANCELLED else {}
        mine = work.copies.get(row.id, ())
        is_back = bool(mine) and all(one.gone_at is not None for one in mine)
        if (newer and state.start_at != row.start_at) or (is_back and not past and row.known_at):
            further["known_at"] = row.known_at if past else work.now  # what it was gone for is made up for at once
        if newer and state.start_at != row.start_at and not past and not row.cancelled:
            further |= {"moves": row.moves + 1, "moved_at": work.now}
        meetings.change(work.session, row, state, contact_ids(work.directory, as_mail(event)), **further)
        if past:
            return
        if state.status == CANCELLED and not row.cancelled:
            now = meetings.by_numbers(work.session, [row.id])[row.id]
            self._cancel(work, now, "its organizer called it off", self._at(work, event))
        elif "moves" in further and state.status != CANCELLED:
            seen = f"{row.start_at:%Y-%m-%d %H:%M} -> {state.start_at:%Y-%m-%d %H:%M} UTC"
            work.signs.append(Sign(MOVED, row.id, str(row.moves + 1), self._at(work, event), seen))
            self._take_back(work, row, [SOON], "the meeting was moved")
        self._answers(work, event, row, people)

    def _answers(self, work: Work, event: CalendarEvent, row: MeetingRow, people: Sequence[Mapping[str, str]]) -> None:
        """What people outside answered now and had not before."""
        before = {one["email"].lower(): one["answer"] for one in row.attendees}
        for one in people:
            key = one["email"].lower()
            told = one["answer"] and one["answer"] != before.get(key, "")
            if told and not work.office.settings.is_internal(key):
                which = f"{row.start_at.isoformat()}|{self._key.address(key)}|{one['answer']}"
                work.signs.append(Sign(ANSWERED, row.id, which, self._at(work, event), f"{key}: {one['answer']}"))

    def _cancel(self, work: Work, row: MeetingRow, seen: str, at: datetime | None = None) -> None:
        meetings.note(work.session, row.id, status=CANCELLED, cancelled_at=work.now)
        self._take_back(work, row, STANDING, "the meeting was cancelled")
        if row.start_at > work.now - timedelta(days=1):
            work.signs.append(Sign(CALLED_OFF, row.id, row.start_at.isoformat(), at or work.now, seen))

    def _take_back(self, work: Work, row: MeetingRow, words: Collection[str], why: str) -> None:
        withdraw_for(work.session, row.id, words, why, work.now, whose=work.whose(row.id))

    def _put_copy(self, work: Work, event: CalendarEvent, row: MeetingRow, past: bool) -> None:
        if not event.ref:
            return  # it came by mail: its place is a sighting
        copy = MeetingCopy(
            interaction_id=row.id,
            account=work.account,
            calendar=event.calendar,
            ref=event.ref,
            digest=digest_of(event),
            answer=answer_of(event, work.rep, work.office.settings),
            missed=is_marked_missed(event),
            seen_at=work.now,
        )
        meetings.put_copies(work.session, [copy])
        others = [one for one in work.copies.get(row.id, ()) if work.copy(row.id, event.calendar) is not one]
        work.copies[row.id] = [*others, copy]
        self._mark_missed(work, row, past)

    def _mark_missed(self, work: Work, row: MeetingRow, past: bool) -> None:
        """One mark in one calendar is enough; taken off again, it never was."""
        marked = any(one.missed and one.gone_at is None for one in work.copies[row.id])
        if marked and row.missed_at is None:
            meetings.note(work.session, row.id, missed_at=row.end_at if past else work.now)
            self._take_back(work, row, [SOON, HELD], "nobody came to the meeting")
        elif row.missed_at is not None and not marked:
            meetings.note(work.session, row.id, missed_at=None)

    def _hide(self, work: Work, row: MeetingRow, calendar: str) -> None:
        """Somebody made it private: what stands of it because of this calendar goes."""
        copy = work.copy(row.id, calendar)
        if copy is not None:
            meetings.forget_copy(work.session, copy)
            work.copies[row.id] = [one for one in work.copies[row.id] if one is not copy]
            if not work.copies[row.id] and not meetings.in_mail(work.session, [row.id]):
                self._take_back(work, row, _ALL, "the meeting was made private")
                meetings.forget(work.session, row.id)
                work.known.pop(row.identity)

    # --- what rules hear of it

    def _is_past(self, work: Work, event: CalendarEvent, state: MeetingState | None) -> bool:
        """Whether it belongs to what was there before we looked."""
        touched = event.changed_at or event.stamped_at
        if self._is_first_look(work, event) or (touched is not None and touched <= work.baselines[event.calendar]):
            return True
        if state is None:
            return False
        if self._key.identity(identity(event)) in work.remembered:
            return True
        slid = work.reached is not None and state.start_at >= work.reached
        return bool(slid and touched and work.last and touched < work.last - OFFLINE)

    def _is_first_look(self, work: Work, event: CalendarEvent) -> bool:
        """Whether this pass is the first that looks into this calendar."""
        baseline = work.baselines.get(event.calendar)
        return baseline is None or baseline >= work.since

    def _at(self, work: Work, event: CalendarEvent) -> datetime:
        """When it happened: as the event says, but behind our last look and not in the future."""
        touched = event.changed_at or event.stamped_at or work.now
        return min(work.now, max(touched, work.last or work.now))


def _rank(sequence: int, stamped_at: datetime | None) -> tuple[int, float]:
    return sequence, stamped_at.timestamp() if stamped_at else 0.0


def _as_known(row: MeetingRow) -> MeetingState:
    names = set(MeetingState.__dataclass_fields__) - {"people"}
    people = [("attendee", one["email"], one["name"]) for one in row.attendees]
    people += [("organizer", row.organizer, "")] if row.organizer else []
    return MeetingState(**{name: getattr(row, name) for name in names}, people=people)
