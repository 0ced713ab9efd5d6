"""Answers "why, and why not" for a meeting: what is known of it, what came of it, and what today's rules would do."""

from __future__ import annotations

from datetime import datetime, tzinfo
from typing import Any

from sqlmodel import Session

from daemon.clock import SystemClock
from daemon.explaining_occasions import today
from daemon.meeting_report import fates
from daemon.meeting_times import MeetingTimes, occasion_of_meeting, occasions_of
from daemon.office import Office
from store import briefs, meetings
from store.hashing import HashKey
from store.meetings import MeetingRow
from store.tables import MeetingCopy


def known(session: Session, office: Office, key: HashKey, row: MeetingRow) -> tuple[list[str], dict[str, Any]]:
    """What the calendars say of it and what became of it, as lines for people and as plain data."""
    now, zone = SystemClock().now(), office.settings.zone
    became = fates(session, key, office, [row], now)[row.id]
    copies = meetings.copies_of(session, [row.id]).get(row.id, [])
    came = meetings.came_of(session, row.id)
    told = briefs.told_of(session, row.id)
    lines = [
        f"when: {_listed(_span(row, zone), row.place)}",
        f"became: {_listed(became, _moves(row, zone))}",
        f"known since: {_minute(row.created_at, zone) if row.known_at else 'the first look at this calendar'}",
        *(f"calendar: {_copy(one, zone)}" for one in copies),
        *(f"invited: {_listed(one['email'], one['answer'])}" for one in row.attendees),
        *(f"came of it: {_minute(one.at, zone)} {one.words} (number {one.id})" for one in came),
        *(f"brief: {_minute(at, zone)} to {who}" for who, at in told),
    ]
    data = {
        "start": row.start_day or row.start_at,
        "end": row.end_day or row.end_at,
        "zone_unclear": row.zone_unclear,
        "place": row.place,
        "became": became,
        "moves": row.moves,
        "moved_at": row.moved_at,
        "booked_at": row.created_at if row.known_at else None,
        "attendees": row.attendees,
        "calendars": [
            {"account": one.account, "calendar": one.calendar, "answer": one.answer, "gone_at": one.gone_at}
            for one in copies
        ],
        "came_of_it": [{"id": one.id, "at": one.at, "when": one.words} for one in came],
        "briefs": [{"rep": who, "at": at} for who, at in told],
    }
    return lines, data


def of_rules(
    session: Session, office: Office, key: HashKey, row: MeetingRow, rule: str | None
) -> tuple[list[str], list[dict[str, Any]]]:
    """What today's rules would do at each moment they wait for, for each customer of the meeting."""
    lines: list[str] = []
    data: list[dict[str, Any]] = []
    times = MeetingTimes(session=session, office=office, key=key, now=SystemClock().now())
    begins = _minute(row.start_at, office.settings.zone)
    for trigger in (one for one in office.rules.triggers if one.of_a_meeting):
        for _, customer, facts in occasions_of(session, key, office, [row]):
            at = times.moment_of(trigger, row, facts)
            if at is None:
                lines.append(f"{trigger.words}: does not come true as things are")
                continue
            occasion = occasion_of_meeting(trigger.words, row, customer, facts, at, "explained", begins)
            some, plain = today(session, office, key, occasion, rule)
            lines += some[:-1]
            data.append(plain)
    return lines or ["no rule waits for a meeting"], data


def _span(row: MeetingRow, zone: tzinfo) -> str:
    if row.start_day is not None:
        return f"{row.start_day}, all day"
    unclear = " (its calendar names no zone that can be known: nothing comes minutes or hours before it)"
    return f"{_minute(row.start_at, zone)} - {row.end_at.astimezone(zone):%H:%M}{unclear if row.zone_unclear else ''}"


def _moves(row: MeetingRow, zone: tzinfo) -> str:
    return f"moved {row.moves}x, the last time {_minute(row.moved_at, zone)}" if row.moves and row.moved_at else ""


def _copy(one: MeetingCopy, zone: tzinfo) -> str:
    gone = f"gone since {_minute(one.gone_at, zone)}" if one.gone_at else ""
    return _listed(f"{one.calendar} of {one.account}", one.answer, "marked: nobody came" if one.missed else "", gone)


def _listed(*parts: str) -> str:
    return ", ".join(filter(None, parts))


def _minute(at: datetime, zone: tzinfo) -> str:
    return f"{at.astimezone(zone):%Y-%m-%d %H:%M}"
