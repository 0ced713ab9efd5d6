"""Invitations in a real IMAP mailbox: the calendar is fetched with the text, as a part or as a file, and read as it is
in the whole mail."""

from __future__ import annotations

from base64 import b64encode
from datetime import UTC, datetime

import pytest
from servers.users import ImapUser

from connectors.calendars import Method
from connectors.imap.settings import ImapSettings
from connectors.imap.source import ImapSource
from connectors.model import Message, RawMail
from connectors.parsing import InlineParser

AT = datetime(2026, 11, 2, 12, tzinfo=UTC)
CALENDAR = "\r\n".join(
    [
        *("BEGIN:VCALENDAR", "VERSION:2.0", "METHOD:REQUEST", "BEGIN:VEVENT", "UID:m1@acme.example"),
        *(
            "DTSTAMP:20261101T080000Z",
            "DTSTART:20261201T090000Z",
            "SUMMARY:Proposta",
            "ORGANIZER:mailto:ivan@acme.example",
        ),
        *("ATTENDEE:mailto:ana@vendas.example", "END:VEVENT", "END:VCALENDAR", ""),
    ]
)
HEAD = "From: ivan@acme.example\r\nTo: ana@vendas.example\r\nSubject: Meeting\r\nMessage-ID: <1@acme.example>\r\n"
PART = f"Content-Type: text/calendar; method=REQUEST; charset=utf-8\r\n\r\n{CALENDAR}"
PACKED = b64encode(CALENDAR.encode()).decode()


def file(content_type: str) -> str:
    name = 'Content-Disposition: attachment; filename="invite.ics"\r\nContent-Transfer-Encoding: base64'
    return f"Content-Type: {content_type}\r\n{name}\r\n\r\n{PACKED}\r\n"


def multipart(kind: str, *parts: str) -> bytes:
    inner = "".join(f"--b\r\n{part}\r\n" for part in ("Content-Type: text/plain\r\n\r\nPlease come.", *parts))
    return f"{HEAD}MIME-Version: 1.0\r\nContent-Type: multipart/{kind}; boundary=b\r\n\r\n{inner}--b--\r\n".encode()


MAILS = {
    "beside the text": multipart("alternative", PART),
    "as a part and as a file": multipart("mixed", PART, file("application/ics")),
    "as a file": multipart("mixed", file("application/ics")),
    "as a file of no known type": multipart("mixed", file("application/octet-stream")),
    "alone": f"{HEAD}MIME-Version: 1.0\r\n{PART}".encode(),
}


@pytest.mark.parametrize("how", MAILS)
def test_an_invitation_in_a_mailbox(imap_user: ImapUser, how: str) -> None:
    imap_user.server.deliver(imap_user.name, MAILS[how], received_at=AT)
    server = imap_user.server
    settings = ImapSettings(
        account="ana",
        host=server.host,
        port=server.port,
        security="none",
        login=imap_user.name,
        password=imap_user.password,
    )
    source = ImapSource(settings, InlineParser())
    try:
        (read,) = source.fetch(None, limit=5).items
    finally:
        source.close()
    (invitation,) = read.invitations
    assert invitation.method is Method.REQUEST
    assert [(event.uid, event.summary, event.ref) for event in invitation.events] == [
        ("m1@acme.example", "Proposta", read.ref)
    ]
    (whole,) = InlineParser().parse(
        [RawMail(account="ana", folder=read.folder, ref=read.ref, received_at=AT, whole=MAILS[how])]
    )
    assert isinstance(whole, Message)
    assert read.invitations == whole.invitations
    assert (read.kind, read.text) == (whole.kind, whole.text)
    assert [one.name for one in read.attachments] == [one.name for one in whole.attachments]
