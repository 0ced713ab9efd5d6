"""What crosses between our process and a parser child: a mail in, its `Reading` back.

Apart from `mime`, so that the process which only sends and receives need not load the reader with its patterns.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any, NamedTuple

from connectors.calendars import Invitation, Method, RawCalendar
from connectors.categories import categories_in
from connectors.ical.crossing import FlatReading, build_reading
from connectors.model import Address, Attachment, Bounce, Kind, Message, RawMail, RawPart

__all__ = ["EMPTY", "FlatBounce", "FlatInvitation", "Person", "Reading", "build_message", "pack_mail", "unpack_mail"]

Person = tuple[str, str]
FlatBounce = tuple[Sequence[str], bool | None, str, str, str]
FlatInvitation = tuple[str, FlatReading, str, Sequence[str]]
"""Method, reading, the text as it came, what could not be read."""
Packed = tuple[Any, ...]


def pack_mail(raw: RawMail) -> Packed:
    """What the parser needs of a mail, in shapes that marshal knows."""
    return (
        raw.received_at.timestamp(),
        raw.whole,
        raw.header,
        [
            (part.content_type, part.parameters, part.encoding, part.body, part.truncated, part.spare)
            for part in raw.parts
        ],
        [(item.name, item.content_type, item.size) for item in raw.attachments],
        raw.content_type,
        raw.notes,
    )


def unpack_mail(packed: Packed) -> RawMail:
    """The mail again; the fields that only the parent needs are empty."""
    received, whole, header, parts, attachments, content_type, notes = packed
    return RawMail(
        account="",
        folder="",
        ref="",
        received_at=datetime.fromtimestamp(received, UTC),
        whole=whole,
        header=header,
        parts=tuple(
            RawPart(
                content_type=kind,
                parameters=tuple(parameters),
                encoding=encoding,
                body=body,
                truncated=truncated,
                spare=spare,
            )
            for kind, parameters, encoding, body, truncated, spare in parts
        ),
        attachments=tuple(Attachment(name=name, content_type=kind, size=size) for name, kind, size in attachments),
        content_type=content_type,
        notes=tuple(notes),
    )


class Reading(NamedTuple):
    """What parsing finds out, in shapes that JSON knows. Times in seconds since 1970, dates as ISO text."""

    message_id: str
    references: Sequence[str]
    in_reply_to: str
    sent_at: float | None
    sender: Person | None
    sent_by: Person | None
    reply_to: Sequence[Person]
    to: Sequence[Person]
    cc: Sequence[Person]
    bcc: Sequence[Person]
    subject: str
    text: str
    quoted: str
    signature: str
    attachments: Sequence[tuple[str, str, int]]
    headers: Sequence[tuple[str, str]]
    kind: str
    bounce: FlatBounce | None
    away_until: str | None
    degraded: Sequence[str]
    markup: Sequence[tuple[str, str]] = ()
    verdicts: Sequence[tuple[str, str]] = ()
    invitations: Sequence[FlatInvitation] = ()


EMPTY = Reading("", (), "", None, None, None, (), (), (), (), "", "", "", "", (), (), Kind.HUMAN.value, None, None, ())


def build_message(raw: RawMail, reading: Reading) -> Message:
    """The Message of a reading and the source's own fields."""
    sent_at = reading.sent_at
    return Message(
        account=raw.account,
        folder=raw.folder,
        folder_role=raw.folder_role,
        ref=raw.ref,
        message_id=reading.message_id,
        references=tuple(reading.references),
        in_reply_to=reading.in_reply_to,
        sent_at=None if sent_at is None else datetime.fromtimestamp(sent_at, UTC),
        received_at=raw.received_at,
        sender=Address(*reading.sender) if reading.sender else None,
        sent_by=Address(*reading.sent_by) if reading.sent_by else None,
        reply_to=_people(reading.reply_to),
        to=_people(reading.to),
        cc=_people(reading.cc),
        bcc=_people(reading.bcc),
        subject=reading.subject,
        text=reading.text,
        quoted=reading.quoted,
        signature=reading.signature,
        attachments=tuple(
            [Attachment(name=name, content_type=kind, size=size) for name, kind, size in reading.attachments]
        ),
        headers=tuple([(name, value) for name, value in reading.headers]),
        kind=Kind(reading.kind),
        bounce=_build_bounce(reading.bounce) if reading.bounce else None,
        away_until=date.fromisoformat(reading.away_until) if reading.away_until else None,
        size=raw.size if raw.size >= 0 or not raw.whole else len(raw.whole),
        flags=raw.flags,
        categories=raw.categories or categories_in(raw.flags),
        degraded=tuple(reading.degraded),
        markup=tuple([(path, value) for path, value in reading.markup]),
        verdicts=tuple([(server, result) for server, result in reading.verdicts]),
        invitations=tuple([_build_invitation(raw, *flat) for flat in reading.invitations]),
    )


def _build_invitation(raw: RawMail, method: str, flat: Any, text: str, degraded: Sequence[str]) -> Invitation:
    place = RawCalendar(account=raw.account, calendar=raw.folder, ref=raw.ref, data=b"")
    events = build_reading(place, FlatReading(*flat)).events
    return Invitation(method=Method(method), events=events, data=text, degraded=tuple(degraded))


def _build_bounce(flat: FlatBounce) -> Bounce:
    recipients, hard, reason, status, original = flat
    return Bounce(recipients=tuple(recipients), hard=hard, reason=reason, status=status, original_message_id=original)


def _people(items: Sequence[Person]) -> tuple[Address, ...]:
    return tuple([Address(email, name) for email, name in items])
