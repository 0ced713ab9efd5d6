"""Meetings that are no longer where they were: moved with their series, split off under another UID, or called off.

Gone is not cancelled. Programs that move an event take it out of one calendar before they lay it into another, and
those that change "this and all that follow" shorten the series and begin a new one, in either order and not at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

import structlog
from sqlmodel import Session

from connectors.calendars import CalendarBatch, CalendarEvent, Window
from daemon.meeting_state import state_of
from daemon.meeting_work import Work, identity
from daemon.office import Office
from daemon.settling import withdraw_for
from rules.meetings import is_private
from rules.triggers import SOON
from store import meetings
from store.meetings import MeetingRow, MeetingState, is_like

log = structlog.get_logger()

PATIENCE = timedelta(minutes=15)
"""So long a meeting of ours is gone from every calendar before that means it was called off: programs that move an
event to another calendar take it out of the first one before."""
AT_ONCE = 5
"""More series than this vanish together when a calendar is in trouble, not because somebody calls them off."""
NEAR = timedelta(days=8)
"""So far an occurrence may be moved with its whole series and still be the same meeting."""
MOMENT = timedelta(microseconds=1)


def vanish(work: Work, batch: CalendarBatch, window: Window) -> None:
    """Occurrences that an object had and has no more. If there are others instead, in this batch or a moment later,
    they are the same meetings at another time or under another name."""
    seen = [place for place in batch.removed if place[0] in batch.calendars]
    here = {identity(event) for event in batch.events}
    copies = meetings.copies_at(work.session, work.account, [*batch.read, *seen])
    rows = meetings.by_numbers(work.session, {one.interaction_id for one in copies})
    missing = [
        one
        for one in copies
        if one.gone_at is None
        and rows[one.interaction_id].identity not in here
        and window.start <= rows[one.interaction_id].start_at < window.end
    ]
    gone = {one.interaction_id: rows[one.interaction_id] for one in missing}
    before = meetings.lost(work.session, work.account, work.now, work.now, since=work.now - PATIENCE)
    renamed = follow(work, batch.events, [*gone.values(), *(row for row in before if row.id not in gone)])
    lost = [one for one in missing if one.interaction_id not in renamed]
    meetings.lose(work.session, lost, work.now)
    for one in lost:
        work.copies.setdefault(one.interaction_id, [])
    for number in {one.interaction_id for one in lost}:
        _replace(work, rows[number])


def follow(work: Work, events: Sequence[CalendarEvent], gone: Sequence[MeetingRow]) -> set[int]:
    """Which of the meetings that are gone are there under another name; they get it."""
    fresh = [event for event in events if identity(event) not in work.known and not is_private(event)]
    states = sorted(((state_of(one, work.office.settings.zone), one) for one in fresh), key=_start)
    left, renamed = {row.id: row for row in gone}, set()
    for state, event in states:
        row = _same(state, left.values())
        if row is None:
            continue
        del left[row.id]
        renamed.add(row.id)
        meetings.rename(work.session, row.id, *event.key)
        row = meetings.by_numbers(work.session, [row.id])[row.id]
        work.known[row.identity] = row
        work.series.add(row.uid)
        work.copies.update(meetings.copies_of(work.session, [row.id]))
    return renamed


def _replace(work: Work, row: MeetingRow) -> None:
    """It is gone from every calendar, but its new name was there before: it goes on under that. At another time it is
    another meeting, and what was prepared for this one is taken back."""
    if any(one.gone_at is None for one in meetings.copies_of(work.session, [row.id]).get(row.id, ())):
        return
    heir = min(_heirs(work.session, row), key=lambda one: abs(one.start_at - row.start_at), default=None)
    if heir is None:
        return
    if heir.start_at != row.start_at:
        withdraw_for(work.session, row.id, [SOON], "the meeting was moved", work.now, whose=work.whose(row.id))
        return
    meetings.absorb(work.session, row, heir)
    work.known[heir.identity] = meetings.by_numbers(work.session, [row.id])[row.id]
    work.copies.pop(heir.id, None)
    work.copies.update(meetings.copies_of(work.session, [row.id]))


def called_off(session: Session, office: Office, gone: Sequence[MeetingRow]) -> list[MeetingRow]:
    """Those of ours that are not there under another name, unless so many vanished that something else is wrong."""
    internal = office.settings.is_internal
    ours = [row for row in gone if not row.organizer or internal(row.organizer)]
    if len({row.series for row in ours}) > AT_ONCE:
        log.warning("meetings.vanished", count=len(ours))
        return []
    return [row for row in ours if not _heirs(session, row)]


def has_twin(work: Work, row: MeetingRow) -> bool:
    """Whether it stood there before under another name: a series was split."""
    same = meetings.starting(work.session, row.start_at, row.start_at + MOMENT)
    return any(one.id != row.id and is_like(one, row) for one in same)


def _heirs(session: Session, row: MeetingRow) -> list[MeetingRow]:
    """Younger meetings like it, that it may have become."""
    near = meetings.starting(session, row.start_at - NEAR, row.start_at + NEAR)
    return [one for one in near if one.id != row.id and is_like(one, row) and one.created_at > row.created_at]


def _start(pair: tuple[MeetingState, CalendarEvent]) -> datetime:
    return pair[0].start_at


def _same(state: MeetingState, gone: Iterable[MeetingRow]) -> MeetingRow | None:
    """The meeting that this one was: the nearest of the same series, else the nearest one like it."""
    near = [row for row in gone if abs(row.start_at - state.start_at) < NEAR]
    series = [row for row in near if row.uid == state.uid]
    like = [row for row in near if is_like(row, state)]
    return min(series or like, key=lambda row: abs(row.start_at - state.start_at), default=None)
