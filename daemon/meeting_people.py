"""Who has a part in a meeting that is known, and what changes when people are invited or taken off."""

from __future__ import annotations

from connectors.calendars import CalendarEvent
from daemon.meeting_times import occasions_of
from daemon.meeting_work import STANDING, Work
from daemon.settling import withdraw_for
from rules.decision import Match
from store import meetings
from store.hashing import HashKey
from store.meetings import MeetingRow, MeetingState


def is_usurped(work: Work, event: CalendarEvent, row: MeetingRow, said: MeetingState) -> bool:
    """Whether somebody who has no part in a meeting lays an event under its UID, while it stands in another calendar or
    came by mail. (A program that imports a meeting may name its owner as the organizer.)"""
    organizer, part = said.organizer.lower(), _people(row)
    if not organizer or not row.organizer or organizer in part or work.office.settings.is_internal(organizer):
        return False
    mine = work.copy(row.id, event.calendar)
    others = [one for one in work.copies.get(row.id, ()) if one is not mine and one.gone_at is None]
    return bool(others) or (mine is None and bool(meetings.in_mail(work.session, [row.id])))


def join(work: Work, row: MeetingRow, said: MeetingState, found: Match) -> None:
    """If somebody was invited whose customer had no part in the meeting before, now it has."""
    invited = {one["email"].lower() for one in said.attendees} - {one["email"].lower() for one in row.attendees}
    theirs = {one.key for one in found.outside}
    fresh = [one for one in found.customers if one not in work.whose(row.id)] if invited & theirs else []
    meetings.link(work.session, row.id, row.start_at, {one: found.rungs.get(one, "") for one in fresh})


def come_and_go(work: Work, key: HashKey, before: MeetingRow, past: bool) -> None:
    """Customers of whom somebody is invited now and nobody was, or the other way round: the meeting stays in the
    history of these, but nothing is prepared for it."""
    now = meetings.by_numbers(work.session, [before.id])[before.id]
    if _people(now) == _people(before) or before.end_at <= work.now:
        return
    was, invited = _invited(work, key, before), _invited(work, key, now)
    withdraw_for(work.session, now.id, STANDING, "no longer invited", work.now, whose=was - invited)
    if invited - was and now.known_at and not past:
        meetings.note(work.session, now.id, known_at=work.now)  # what is soon for them too is so at once


def _invited(work: Work, key: HashKey, row: MeetingRow) -> set[int]:
    """The customers of whom somebody is invited."""
    each = occasions_of(work.session, key, work.office, [row])
    return {customer for _, customer, facts in each if facts.attendees}


def _people(row: MeetingRow) -> set[str]:
    """The addresses of all who take part."""
    return {row.organizer.lower(), *(one["email"].lower() for one in row.attendees)}
