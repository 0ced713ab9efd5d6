"""Meetings that come by mail: invitations, changes, cancellations and answers of people whose calendar nobody reads.

What is known of a meeting is put before each mail as if it had come in an earlier one, and connectors.ical.scheduling
says how it stands then: newest by SEQUENCE and DTSTAMP, and only from whom it may come.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta

import structlog

from connectors.calendars import Answer, Attendee, CalendarEvent, EventStatus, Invitation, Method, Role, When
from connectors.ical.scheduling import Standing, fold
from connectors.model import Address, FolderRole, Message
from daemon.office import Office
from rules.meetings import ANSWERS, mail_between
from store.meetings import MeetingRow

log = structlog.get_logger()
READ = 100
"""So many occurrences of a mail are read, see connectors.calendars.Invitation."""
_ANSWERS = {word: answer for answer, word in ANSWERS.items()} | {"": Answer.NONE}


def uids_in(message: Message) -> set[str]:
    """The meetings that a mail speaks of."""
    return {event.key[0] for invitation in message.invitations for event in invitation.events}


def standing(message: Message, known: Sequence[MeetingRow], office: Office) -> Standing:
    """How the meetings of a mail stand after it."""
    ours = {row.uid for row in known if not row.organizer}
    found = fold([*_earlier(message, known), _without(message, ours)], authentic=lambda one: _is_authentic(one, office))
    for note in found.notes:
        log.info("invitation.left", account=message.account, ref=message.ref, reason=note.reason)
    return found


def replaced(message: Message, found: Standing, known: Sequence[MeetingRow]) -> list[MeetingRow]:
    """The meetings ahead that a newer invitation to all of their series has no more, as far as it was read: of a long
    one that is its first occurrences only."""
    ends = {uid: _end(message, uid) for uid in uids_in(message)}
    keys = found.replaced
    return [
        row
        for row in known
        if (row.uid, row.original) in keys and not row.cancelled and message.received_at < row.start_at < ends[row.uid]
    ]


def _end(message: Message, uid: str) -> datetime:
    events = [event for one in message.invitations for event in one.events]
    starts = [_first_moment(event.start) for event in events if event.key[0] == uid]
    whole = len(events) < READ and not any(one.degraded for one in message.invitations)
    return max(starts) if starts and not whole else datetime.max.replace(tzinfo=UTC)


def _first_moment(when: When) -> datetime:
    return when if isinstance(when, datetime) else datetime.combine(when, time(), UTC)


def _without(message: Message, ours: Collection[str]) -> Message:
    """Without what is said of meetings that nobody organizes: they are ours, and nobody speaks of them by mail."""
    left = []
    for one in message.invitations:
        events = tuple(event for event in one.events if event.key[0] not in ours)
        left.append(replace(one, events=events))
    return replace(message, invitations=tuple(left))


def _earlier(message: Message, known: Sequence[MeetingRow]) -> Iterator[Message]:
    """What is known, as the mails of its organizers."""
    for organizer in dict.fromkeys(row.organizer for row in known if row.organizer):
        events = tuple(_event(row) for row in known if row.organizer == organizer)
        mail = mail_between(Address(organizer), (), "")
        before = message.received_at - timedelta(seconds=1)
        yield replace(mail, received_at=before, invitations=(Invitation(method=Method.REQUEST, events=events),))


def _event(row: MeetingRow) -> CalendarEvent:
    return CalendarEvent(
        account="",
        calendar="",
        ref="",
        uid=row.uid,
        original=_original(row.original),
        exception=bool(row.original),
        sequence=row.sequence,
        stamped_at=row.stamped_at,
        start=row.start_day or row.start_at,
        end=row.end_day or row.end_at,
        all_day=row.start_day is not None,
        zone=row.zone,
        status=EventStatus(row.status),
        summary=row.title,
        location=row.place,
        organizer=Address(row.organizer),
        attendees=tuple(
            Attendee(Address(one["email"], one["name"]), _ANSWERS[one["answer"]], Role(one["role"]))
            for one in row.attendees
        ),
    )


def _original(text: str) -> When | None:
    if not text:
        return None
    if len(text) == 8:
        return date(int(text[:4]), int(text[4:6]), int(text[6:]))
    return datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)


def _is_authentic(message: Message, office: Office) -> bool:
    """Not if our own mail server found that its sender is forged."""
    account = office.settings.accounts.get(message.account)
    trusted = (account.authserv or "") if account else ""
    if not trusted or message.folder_role is FolderRole.SENT:
        return True
    return next((result for server, result in message.verdicts if server == trusted), "") != "fail"
