"""From `OutgoingMail` to the service's JSON: one shape for drafts, replies, notices and copies in Sent. Pure.

The service takes other headers than x- only as MAPI properties (MS-OXPROPS): In-Reply-To and References as 0x1042 and
0x1039, List-Unsubscribe as 0x1045, further ones by name among the internet headers. It makes MIME of one body, so the
HTML goes where there is one. A MIME upload would keep both, but always makes a draft, and that cannot be changed later.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from connectors.graph.client import Json
from connectors.graph.mails import IN_REPLY_TO, REFERENCES
from connectors.model import Address, Enclosure, OutgoingMail
from connectors.outgoing import render, wire_address

__all__ = [
    "LIGHT", "MARK", "arrived", "attachment", "copied", "draft", "is_heavy", "name_of", "plain_body", "unnamed",
    "with_reply",
]  # fmt: skip

MARK: Final = "String {7c1b5b3e-52d9-4f0c-8a5e-9b6f6f1d2a40} Name quietcrm"
"""Our own property, invisible to people: the Message-ID that quietcrm gave the mail. It stays with the mail when it is
sent, whatever becomes of its Message-ID."""
LIGHT: Final = 2_900_000
"""Bytes of files that still fit into one request beside the mail."""
_MESSAGE_FLAGS: Final = "Integer 0x0E07"
_READ: Final = 1
"""MSGFLAG_READ alone (MS-OXCMSG 2.2.1.6): without MSGFLAG_UNSENT a mail is no draft. Only counts as it is made."""
_DELIVERED: Final = "SystemTime 0x0E06"
_SUBMITTED: Final = "SystemTime 0x0039"
_PLAIN_BODY: Final = "String 0x1000"
_UNSUBSCRIBE: Final = "String 0x1045"
_INTERNET_HEADERS: Final = "String {00020386-0000-0000-C000-000000000046} Name"
_MOST_HEADERS = 5
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


def draft(mail: OutgoingMail) -> Json:
    """A mail to be made as a draft. Raises HeaderMismatch where it could not be sent as planned."""
    render(mail, utf8=True)  # what cannot stand in a mail is refused here as everywhere
    body = {"contentType": "html", "content": mail.html} if mail.html else {"contentType": "text", "content": mail.text}
    made: Json = {
        "subject": _line(mail.subject),
        "body": body,
        "from": _person(mail.sender),
        "toRecipients": [_person(one) for one in mail.to],
        "ccRecipients": [_person(one) for one in mail.cc],
        "internetMessageId": f"<{mail.message_id}>",
        "isRead": True,
        "singleValueExtendedProperties": [{"id": key, "value": value} for key, value in _properties(mail)],
    }
    if headers := list(_own_headers(mail))[:_MOST_HEADERS]:
        made["internetMessageHeaders"] = [{"name": name, "value": _line(value)} for name, value in headers]
    if mail.files and not is_heavy(mail):
        made["attachments"] = [attachment(file) for file in mail.files]
    return made


def is_heavy(mail: OutgoingMail) -> bool:
    """Whether its files are too large for one request (4 MB, and base64 adds a third): they are added one by one."""
    return sum(len(file.content) for file in mail.files) > LIGHT


def attachment(file: Enclosure) -> Json:
    """A file of at most 3 MB as part of a request."""
    return {
        "@odata.type": "#microsoft.graph.fileAttachment",
        "name": file.name,
        "contentType": file.content_type,
        "contentBytes": base64.b64encode(file.content).decode("ascii"),
    }


def unnamed(made: Json) -> Json:
    """The same without our mark and Message-ID: nobody takes it for finished."""
    properties = [one for one in made["singleValueExtendedProperties"] if one["id"] != MARK]
    rest = {key: value for key, value in made.items() if key != "internetMessageId"}
    return {**rest, "singleValueExtendedProperties": properties}


def name_of(made: Json) -> Json:
    """What `unnamed` left out."""
    properties = [one for one in made["singleValueExtendedProperties"] if one["id"] == MARK]
    return {"internetMessageId": made["internetMessageId"], "singleValueExtendedProperties": properties}


def with_reply(made: Json) -> Json:
    """The same as an answer to a mail that is there: its thread comes from that mail."""
    properties = [one for one in made["singleValueExtendedProperties"] if one["id"] not in (IN_REPLY_TO, REFERENCES)]
    return {"message": {**made, "singleValueExtendedProperties": properties}}


def arrived(mail: OutgoingMail) -> Json:
    """A mail that looks as if it had come. The service makes it a read one; that is taken back afterwards."""
    return _with(draft(mail), (_MESSAGE_FLAGS, str(_READ)))


def copied(mail: OutgoingMail) -> Json:
    """The copy of a mail that left by another way, at its date."""
    at = _moment(mail.date)
    return _with(draft(mail), (_MESSAGE_FLAGS, str(_READ)), (_DELIVERED, at), (_SUBMITTED, at))


def plain_body(made: Json, mail: OutgoingMail) -> Json:
    """The same with the plain text beside the HTML (PidTagBody), for servers that keep both."""
    return _with(made, (_PLAIN_BODY, mail.text))


def _with(made: Json, *properties: tuple[str, str]) -> Json:
    further = [{"id": key, "value": value} for key, value in properties]
    return {**made, "singleValueExtendedProperties": [*made["singleValueExtendedProperties"], *further]}


def _own_headers(mail: OutgoingMail) -> Iterator[tuple[str, str]]:
    """Those that begin with x-. The service takes Auto-Submitted away (RFC 3834), so what Exchange itself heeds says
    in its place that no machine shall answer; absences and bounces still come (MS-OXCMAIL)."""
    names = {name.lower() for name, _ in mail.headers}
    if "auto-submitted" in names and "x-auto-response-suppress" not in names:
        yield "X-Auto-Response-Suppress", "AutoReply"
    yield from ((name, value) for name, value in mail.headers if name.lower().startswith("x-"))


def _properties(mail: OutgoingMail) -> Iterator[tuple[str, str]]:
    yield MARK, mail.message_id
    if mail.in_reply_to:
        yield IN_REPLY_TO, f"<{mail.in_reply_to}>"
    if mail.references:
        yield REFERENCES, " ".join(f"<{one}>" for one in mail.references)
    for name, value in mail.headers:
        if name.lower() == "list-unsubscribe":
            yield _UNSUBSCRIBE, _line(value)
        elif not name.lower().startswith("x-"):
            yield f"{_INTERNET_HEADERS} {name}", _line(value)


def _person(address: Address) -> Json:
    shown = {"name": _line(address.name)} if address.name else {}
    return {"emailAddress": {"address": wire_address(address.email), **shown}}


def _line(text: str) -> str:
    return " ".join(_CONTROL.sub(" ", text).split())


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
