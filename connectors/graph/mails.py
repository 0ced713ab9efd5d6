"""From the service's JSON to what the parser takes, and which properties that needs. Pure.

Header and text come with the list itself; attachments by name only. The service gives the header as it came
(`internetMessageHeaders`) for mail that was received, and none for what the mailbox sent itself: then it is written
again from the properties, with In-Reply-To and References from MAPI properties (MS-OXPROPS, 0x1042 and 0x1039).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Final
from urllib.parse import quote

from connectors.folders import Folder
from connectors.graph.client import Garbled, Json
from connectors.model import Attachment, RawMail, RawPart, Remark

__all__ = [
    "BRIEF",
    "EXPAND",
    "HEADER",
    "IN_REPLY_TO",
    "REFERENCES",
    "WHOLE",
    "categories_of",
    "clean_id",
    "flags_of",
    "is_report",
    "mail_path",
    "parse_moment",
    "raw_mail",
    "remark",
    "second_of",
]

IN_REPLY_TO: Final = "String 0x1042"
REFERENCES: Final = "String 0x1039"
BRIEF: Final = "id,receivedDateTime,internetMessageId,categories,flag,isRead,isDraft"
"""What tells one mail from another, and how it is marked."""
HEADER: Final = (
    "id,receivedDateTime,sentDateTime,internetMessageId,subject,from,sender,replyTo,toRecipients,ccRecipients,"
    "bccRecipients,internetMessageHeaders,categories,flag,isRead,isDraft,parentFolderId"
)
WHOLE: Final = f"{HEADER},body,hasAttachments"
_THREAD = f"singleValueExtendedProperties($filter=id eq '{IN_REPLY_TO}' or id eq '{REFERENCES}')"
EXPAND: Final = f"{_THREAD},attachments($select=id,name,contentType,size,isInline)"

_TEXT_CLIP = 256 << 10
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")
_FIELD_NAME = re.compile(r"[!-9;-~]+\Z")
_THREAD_FIELDS = {IN_REPLY_TO: "In-Reply-To", REFERENCES: "References"}
_RECIPIENTS = (("Reply-To", "replyTo"), ("To", "toRecipients"), ("Cc", "ccRecipients"), ("Bcc", "bccRecipients"))


def parse_moment(text: object) -> datetime:
    """A DateTimeOffset of the service as aware UTC. Raises Garbled."""
    try:
        moment = datetime.fromisoformat(str(text))
    except (ValueError, OverflowError) as error:
        raise Garbled(f"an impossible time, {str(text)[:40]!r}") from error
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def second_of(row: Json) -> str:
    """When a mail arrived, to the second: "2026-01-31T12:00:00Z". The service shows some times with fractions and some
    without, and filters by the fraction all the same."""
    return parse_moment(row.get("receivedDateTime")).isoformat(timespec="seconds").replace("+00:00", "Z")


def mail_path(ref: str, *rest: str) -> str:
    """The path of one mail, or of something below it."""
    return "/".join(("/messages", quote(ref, safe="="), *rest))


def clean_id(text: object) -> str:
    """An internetMessageId without its angle brackets."""
    return str(text or "").strip().strip("<>").strip()


def flags_of(row: Json) -> tuple[str, ...]:
    """Read, flagged and draft in the words of IMAP."""
    flagged = str((row.get("flag") or {}).get("flagStatus", "")).lower() == "flagged"
    told = (("\\Seen", row.get("isRead")), ("\\Flagged", flagged), ("\\Draft", row.get("isDraft")))
    return tuple(name for name, holds in told if holds)


def categories_of(row: Json) -> tuple[str, ...]:
    """The names of the categories on a mail."""
    return tuple(str(name) for name in row.get("categories") or ())


def remark(folder: Folder, row: Json) -> Remark:
    """How a copy that was read before is marked now."""
    return Remark(
        folder=folder.name,
        ref=str(row["id"]),
        message_id=clean_id(row.get("internetMessageId")),
        flags=flags_of(row),
        categories=categories_of(row),
    )


def is_report(row: Json) -> bool:
    """Whether only the mail's own MIME tells what it says: delivery reports and invitations have parts that the
    service's `body` leaves out."""
    if "eventmessage" in str(row.get("@odata.type", "")).lower():
        return True
    kind = _given(row, "content-type").strip().lower()
    return kind.startswith(("multipart/report", "text/calendar", "multipart/signed", "application/pkcs7-mime"))


def raw_mail(account: str, folder: Folder, row: Json, *, mime: bytes = b"", brief: bool = False) -> RawMail:
    """What the parser takes: `mime` if the whole mail was fetched, else header and text of the JSON; header only if
    `brief`."""
    header = b"".join(_header(row)) + b"\r\n"
    return RawMail(
        account=account,
        folder=folder.name,
        folder_role=folder.role,
        ref=str(row["id"]),
        received_at=parse_moment(row.get("receivedDateTime")),
        flags=flags_of(row),
        categories=categories_of(row),
        whole=mime,
        header=b"" if mime else header,
        parts=() if mime or brief else tuple(_parts(row)),
        attachments=() if mime or brief else tuple(_attachments(row)),
        notes=("header only",) if brief else (),
    )


def _parts(row: Json) -> Iterator[RawPart]:
    body = row.get("body") or {}
    text = str(body.get("content") or "").encode("utf-8", "replace")
    kind = "text/html" if str(body.get("contentType", "")).lower() == "html" else "text/plain"
    yield RawPart(
        content_type=kind,
        parameters=(("charset", "utf-8"),),
        encoding="8bit",
        body=text[:_TEXT_CLIP],
        truncated=len(text) > _TEXT_CLIP,
    )


def _attachments(row: Json) -> Iterator[Attachment]:
    for one in row.get("attachments") or ():
        yield Attachment(
            name=str(one.get("name") or ""),
            content_type=str(one.get("contentType") or "application/octet-stream").lower(),
            size=int(one.get("size") or -1),
        )


# -- the header


def _given(row: Json, name: str) -> str:
    """The first value of a header as it came, "" if none is given."""
    headers = row.get("internetMessageHeaders") or ()
    return next((str(one.get("value", "")) for one in headers if str(one.get("name", "")).lower() == name), "")


def _header(row: Json) -> Iterator[bytes]:
    given = row.get("internetMessageHeaders") or ()
    names = {str(one.get("name", "")).lower() for one in given}
    for one in given:
        if _FIELD_NAME.match(str(one.get("name", ""))):
            yield _field(str(one["name"]), str(one.get("value") or ""))
    for name, value in _written(row, names):
        if value:
            yield _field(name, value)


def _written(row: Json, given: set[str]) -> Iterator[tuple[str, str]]:
    """The fields that every mail has, from the properties, but those that are given."""
    if "date" not in given and row.get("sentDateTime"):
        yield "Date", format_datetime(parse_moment(row["sentDateTime"]))
    if "from" not in given:
        yield "From", _mailbox(row.get("from"))
    if "sender" not in given and row.get("sender") != row.get("from"):
        yield "Sender", _mailbox(row.get("sender"))
    for name, key in _RECIPIENTS:
        if name.lower() not in given and row.get(key):
            yield name, ", ".join(filter(None, map(_mailbox, row[key])))
    if "subject" not in given:
        yield "Subject", str(row.get("subject") or "")
    if "message-id" not in given:
        yield "Message-ID", str(row.get("internetMessageId") or "")
    for one in row.get("singleValueExtendedProperties") or ():
        thread = _THREAD_FIELDS.get(str(one.get("id")))
        if thread and thread.lower() not in given:
            yield thread, str(one.get("value") or "")


def _field(name: str, value: str) -> bytes:
    line = value if value.isprintable() else _CONTROL.sub(" ", value)
    return f"{name}: {line}\r\n".encode("utf-8", "replace")


def _mailbox(person: object) -> str:
    """`{"emailAddress": {"name": ..., "address": ...}}` as it stands in a header."""
    address = person.get("emailAddress") if isinstance(person, dict) else None
    if not isinstance(address, dict) or not address.get("address"):
        return ""
    name = _CONTROL.sub(" ", str(address.get("name") or ""))
    if not name or name == address["address"]:
        return str(address["address"])
    quoted = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{quoted}" <{address["address"]}>'
