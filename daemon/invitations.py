"""Meetings that come by mail: invitations, changes, cancellations and answers of people whose calendar nobody reads.

What is known of a meeting is put before each mail as if it had come in an earlier one, and connectors.ical.scheduling
says how it stands then: newest by SEQUENCE and DTSTAMP, and only from whom it may come.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import structlog

from connectors.calendars import Answer, Attendee, CalendarEvent, EventStatus, Invitation, Method, Role, When
from connectors.ical.scheduling import Standing, fold
from connectors.model import Address, FolderRole, Message
from daemon.office import Office
from rules.meetings import ANSWERS, mail_between
from store.meetings import MeetingRow

log = structlog.get_logger()
_ANSWERS = {word: answer for answer, word in ANSWERS.items()} | {"": Answer.NONE}


def uids_in(message: Message) -> set[str]:
    """The meetings that a mail speaks of."""
    return {event.key[0] for invitation in message.invitations for event in invitation.events}


def standing(message: Message, known: Sequence[MeetingRow], office: Office) -> Standing:
    """How the meetings of a mail stand after it."""
    found = fold([*_earlier(message, known), message], authentic=lambda one: _is_authentic(one, office))
    for note in found.notes:
        log.info("invitation.left", account=message.account, ref=message.ref, reason=note.reason)
    return found


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
