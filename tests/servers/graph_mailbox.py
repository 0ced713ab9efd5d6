"""A mailbox as Exchange Online keeps it: folders, mails as properties, a log of changes per folder, categories.

Bytes of a received mail are kept; a mail made of JSON is written as MIME from its properties, as the service does.
"""

from __future__ import annotations

import base64
import email
import email.policy
import hashlib
import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from email.message import EmailMessage, Message
from email.utils import getaddresses, parsedate_to_datetime
from typing import Any

from connectors.model import Address, OutgoingMail
from connectors.outgoing import render

Json = dict[str, Any]

WELL_KNOWN = {
    "inbox": "Inbox",
    "sentitems": "Sent Items",
    "drafts": "Drafts",
    "deleteditems": "Deleted Items",
    "junkemail": "Junk Email",
    "outbox": "Outbox",
    "conversationhistory": "Conversation History",
}
MESSAGE_FLAGS = "Integer 0x0E07"
UNSENT = 8
"""MSGFLAG_UNSENT of PidTagMessageFlags (MS-OXCMSG 2.2.1.6): what makes a draft. Read-only once the mail is saved."""
READ = 1
DELIVERED = "SystemTime 0x0E06"
SUBMITTED = "SystemTime 0x0039"
IN_REPLY_TO = "String 0x1042"
REFERENCES = "String 0x1039"
PLAIN_BODY = "String 0x1000"
_HEADER_PROPERTY = re.compile(r"String \{00020386-0000-0000-C000-000000000046\} Name (.+)\Z")
_UNSUBSCRIBE = "String 0x1045"


class Unaddressable(ValueError):
    """No such folder or mail; the text is the service's code."""


@dataclass(slots=True)
class FakeFolder:
    """A folder. `well` is its well-known name or ""."""

    id: str
    name: str
    parent: str
    well: str = ""
    log: list[tuple[int, str, bool]] = field(default_factory=list)
    """(version, mail, whether it came or changed; False = it left)."""


@dataclass(slots=True)
class FakeMail:
    """One mail. `fields` are its JSON properties; `mime` the bytes it came as, b"" = written from the properties."""

    id: str
    folder: str
    fields: Json
    mime: bytes = b""
    properties: dict[str, str] = field(default_factory=dict)
    attachments: list[Json] = field(default_factory=list)
    received: bool = False
    broken: bool = False
    changed: frozenset[str] = frozenset()
    """What the last change touched, for answers that name only that."""
    moves: int = 0

    @property
    def etag(self) -> str:
        """Another one after each change."""
        return f'W/"{self.fields["changeKey"]}"'


class GraphMailbox:
    """One person's mailbox. `clock` gives the time of what happens in it."""

    def __init__(self, address: str, *, clock: Any = lambda: datetime.now(UTC)) -> None:
        self.address = address
        self.clock = clock
        self.version = 0
        self.epoch = 0
        self.mails: dict[str, FakeMail] = {}
        self.folders: dict[str, FakeFolder] = {}
        self.categories: list[Json] = []
        self.rewrites_ids = False
        """Whether sending gives a mail another Message-ID, as some tenants' transport does."""
        self.rewrites_mime = False
        """Whether MIME is written from HTML alone, the text of the alternative made of it."""
        self.ids_change = False
        self._serial = itertools.count(1)
        self.root = self._id("root")
        for well, name in WELL_KNOWN.items():
            self._add_folder(name, self.root, well)

    # -- folders

    def _id(self, word: str) -> str:
        digest = hashlib.sha256(f"{self.address}/{word}".encode()).digest()
        return "AAkALgAA" + base64.urlsafe_b64encode(digest).decode().rstrip("=") + "="

    def _add_folder(self, name: str, parent: str, well: str = "") -> FakeFolder:
        folder = FakeFolder(self._id(f"folder{next(self._serial)}"), name, parent, well)
        self.folders[folder.id] = folder
        return folder

    def folder(self, key: str) -> FakeFolder:
        """By id or well-known name. Raises Unaddressable."""
        found = self.folders.get(key) or next((one for one in self.folders.values() if one.well == key.lower()), None)
        if found is None:
            raise Unaddressable("ErrorItemNotFound")
        return found

    def folder_called(self, path: str) -> FakeFolder:
        """By path, made if need be; INBOX is the Inbox."""
        if path.upper() == "INBOX":
            return self.folder("inbox")
        parent = self.root
        found: FakeFolder | None = None
        for name in path.split("/"):
            found = next((one for one in self.folders.values() if (one.parent, one.name) == (parent, name)), None)
            found = found or self._add_folder(name, parent)
            parent = found.id
        assert found is not None
        return found

    def make_folder(self, name: str, parent: str) -> FakeFolder:
        """A new one. Raises Unaddressable if there is one of that name."""
        parent = self.root if parent == "msgfolderroot" else parent
        if any((one.parent, one.name.lower()) == (parent, name.lower()) for one in self.folders.values()):
            raise Unaddressable("ErrorFolderExists")
        return self._add_folder(name, parent)

    def drop_folder(self, key: str) -> None:
        """Take a folder away, with what lies there."""
        folder = self.folder(key)
        del self.folders[folder.id]
        self.mails = {ref: mail for ref, mail in self.mails.items() if mail.folder != folder.id}

    def describe_folder(self, folder: FakeFolder) -> Json:
        """As JSON."""
        return {
            "id": folder.id,
            "displayName": folder.name,
            "parentFolderId": folder.parent,
            "childFolderCount": sum(one.parent == folder.id for one in self.folders.values()),
            "totalItemCount": sum(mail.folder == folder.id for mail in self.mails.values()),
            "unreadItemCount": sum(m.folder == folder.id and not m.fields["isRead"] for m in self.mails.values()),
            "isHidden": False,
        }

    # -- mails

    def mail(self, ref: str) -> FakeMail:
        """Raises Unaddressable."""
        if ref not in self.mails:
            raise Unaddressable("ErrorItemNotFound" if ref.startswith("AAkA") else "ErrorInvalidIdMalformed")
        return self.mails[ref]

    def in_folder(self, key: str) -> list[FakeMail]:
        """Those in a folder, in the order they came there."""
        folder = self.folder(key)
        return [mail for mail in self.mails.values() if mail.folder == folder.id]

    def deliver(self, raw: bytes, *, folder: str = "INBOX", at: datetime | None = None, seen: bool = False) -> FakeMail:
        """Let a mail arrive, by default now."""
        place = self.folder_called(folder)
        sent = place.well == "sentitems"
        fields = _read_fields(raw)
        fields |= {"isRead": seen or sent, "isDraft": place.well == "drafts"}
        fields["receivedDateTime"] = _stamp(at or self.clock())
        fields["sentDateTime"] = fields["sentDateTime"] or fields["receivedDateTime"]
        mail = self._keep(place, fields, mime=raw, received=not sent and place.well != "drafts")
        message = email.message_from_bytes(raw)
        for name, key in (("In-Reply-To", IN_REPLY_TO), ("References", REFERENCES)):
            if message.get(name):
                mail.properties[key] = _plain(message[name])
        mail.attachments = list(_read_attachments(raw))
        mail.fields["hasAttachments"] = bool(mail.attachments)
        return mail

    def create(self, place: FakeFolder, given: Json) -> FakeMail:
        """A mail made of JSON. A draft, unless its flags as a property say otherwise at this very moment."""
        properties = {one["id"]: str(one["value"]) for one in given.get("singleValueExtendedProperties", ())}
        attachments = [dict(one) for one in given.get("attachments", ())]
        plain = ("singleValueExtendedProperties", "attachments")
        fields = {key: value for key, value in given.items() if key not in plain}
        flags = int(properties.pop(MESSAGE_FLAGS, str(UNSENT)))
        if not flags & UNSENT:
            fields["isRead"] = bool(flags & READ)  # the flags count for more than the property
        now = _stamp(self.clock())
        fields.setdefault("internetMessageId", f"<{next(self._serial)}.made@{self.address.partition('@')[2]}>")
        fields.setdefault("isRead", True)
        fields["isDraft"] = bool(flags & UNSENT)
        fields["receivedDateTime"] = properties.get(DELIVERED, now)
        fields["sentDateTime"] = properties.get(SUBMITTED, now)
        sender = {"emailAddress": {"address": self.address, "name": self.address}}
        fields.setdefault("from", sender)
        fields["sender"] = fields["from"]
        mail = self._keep(place, fields)
        mail.properties = properties
        for one in attachments:
            self.attach(mail, one)
        return mail

    def reply_to(self, original: FakeMail, given: Json) -> FakeMail:
        """A draft that answers a mail, in its conversation."""
        subject = str(original.fields["subject"])
        references = [original.properties.get(REFERENCES, ""), str(original.fields["internetMessageId"])]
        fields = {
            "subject": subject if subject.lower().startswith("re:") else f"RE: {subject}",
            "toRecipients": original.fields["replyTo"] or [original.fields["from"]],
            "body": {"contentType": "html", "content": f"<hr>{original.fields['body']['content']}"},
            **given,
        }
        made = self.create(self.folder("drafts"), fields)
        made.properties |= {IN_REPLY_TO: references[1], REFERENCES: " ".join(filter(None, references))}
        made.fields["conversationId"] = original.fields["conversationId"]
        return made

    def _keep(self, place: FakeFolder, fields: Json, *, mime: bytes = b"", received: bool = False) -> FakeMail:
        serial = next(self._serial)
        now = _stamp(self.clock())
        full = {**_EMPTY, "createdDateTime": now, "parentFolderId": place.id, **fields}
        full["conversationId"] = self._id(f"conversation {full['subject']}")
        mail = FakeMail(self._id(f"mail{serial}"), place.id, full, mime, received=received)
        self.mails[mail.id] = mail
        self._touch(mail)
        self._log(place.id, mail.id)
        return mail

    def attach(self, mail: FakeMail, given: Json) -> Json:
        """Add a file."""
        content = base64.b64decode(given.get("contentBytes") or "")
        one = {
            "@odata.type": "#microsoft.graph.fileAttachment",
            "id": self._id(f"attachment{next(self._serial)}"),
            "name": given.get("name", ""),
            "contentType": given.get("contentType") or "application/octet-stream",
            "size": len(content),
            "isInline": bool(given.get("isInline")),
            "contentBytes": given.get("contentBytes") or "",
        }
        mail.attachments.append(one)
        mail.fields["hasAttachments"] = True
        return one

    def change(self, mail: FakeMail, given: Json) -> None:
        """PATCH. Flags of the message as a property are silently left as they are, as the service does."""
        for one in given.get("singleValueExtendedProperties", ()):
            if one["id"] != MESSAGE_FLAGS:
                mail.properties[one["id"]] = str(one["value"])
        fields = {key: value for key, value in given.items() if key != "singleValueExtendedProperties"}
        content = {"subject", "body", "toRecipients", "ccRecipients", "bccRecipients", "from", "internetMessageId"}
        if fields.keys() & content:
            mail.mime = b""
        mail.fields |= fields
        self._touch(mail, frozenset(fields))
        self._log(mail.folder, mail.id)

    def move(self, mail: FakeMail, key: str, *, quietly: bool = False) -> FakeMail:
        """Into another folder; `quietly` leaves the arrival out of the log there (a known fault of the service)."""
        place = self.folder(key)
        self.version += 1
        self._log(mail.folder, mail.id, came=False)
        del self.mails[mail.id]
        if self.ids_change:
            mail.moves += 1
            mail.id = self._id(f"{mail.id} {mail.moves}")
        mail.folder = mail.fields["parentFolderId"] = place.id
        self._touch(mail)
        self.mails[mail.id] = mail
        if not quietly:
            self._log(place.id, mail.id)
        return mail

    def remove(self, ref: str) -> None:
        """Delete a mail for good."""
        mail = self.mails.pop(ref)
        self.version += 1
        self._log(mail.folder, ref, came=False)

    def leave(self, mail: FakeMail) -> bytes:
        """Send a draft: into the Outbox; the mail as it leaves."""
        if self.rewrites_ids:
            mail.fields["internetMessageId"] = f"<{next(self._serial)}.sent@{self.address.partition('@')[2]}>"
            mail.mime = b""
        now = _stamp(self.clock())
        mail.fields |= {"isDraft": False, "isRead": True, "sentDateTime": now, "receivedDateTime": now}
        raw = self.mime(mail)
        self.move(mail, "outbox")
        return raw

    def _touch(self, mail: FakeMail, what: frozenset[str] = frozenset()) -> None:
        self.version += 1
        mail.changed = what
        key = base64.b64encode(f"{self.version:012}".encode()).decode()
        mail.fields |= {"changeKey": key, "lastModifiedDateTime": _stamp(self.clock())}

    def _log(self, folder: str, ref: str, *, came: bool = True) -> None:
        if folder in self.folders:
            self.folders[folder].log.append((self.version, ref, came))

    def expire_links(self) -> None:
        """From now on every delta link given before means nothing."""
        self.epoch += 1

    # -- as MIME

    def mime(self, mail: FakeMail) -> bytes:
        """The bytes it came as, or what the service writes of its properties."""
        if mail.mime and not self.rewrites_mime:
            return mail.mime
        body = mail.fields["body"]
        is_html = str(body["contentType"]).lower() == "html"
        derived = re.sub(r"<[^>]+>", " ", body["content"]).strip() + "\r\n" if is_html else body["content"]
        given = mail.properties.get(PLAIN_BODY)
        text = derived if given is None or self.rewrites_mime else given
        html = body["content"] if is_html else ""
        raw = render(
            OutgoingMail(
                message_id=str(mail.fields["internetMessageId"]).strip("<>"),
                sender=_address(mail.fields["from"]),
                to=tuple(map(_address, mail.fields["toRecipients"])),
                cc=tuple(map(_address, mail.fields["ccRecipients"])),
                subject=str(mail.fields["subject"]),
                text=text,
                html=html,
                date=datetime.fromisoformat(mail.fields["sentDateTime"]),
                in_reply_to=mail.properties.get(IN_REPLY_TO, "").strip("<>"),
                references=tuple(one.strip("<>") for one in mail.properties.get(REFERENCES, "").split()),
                headers=tuple(_further_headers(mail)),
            ),
            utf8=True,
        )
        return _with_attachments(raw, mail.attachments) if mail.attachments else raw


_EMPTY: Json = {
    "subject": "",
    "bodyPreview": "",
    "body": {"contentType": "text", "content": ""},
    "toRecipients": [],
    "ccRecipients": [],
    "bccRecipients": [],
    "replyTo": [],
    "categories": [],
    "importance": "normal",
    "flag": {"flagStatus": "notFlagged"},
    "hasAttachments": False,
}


def _stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).replace(microsecond=0).isoformat().replace("+00:00", "Z")


def _address(person: Json) -> Address:
    one = person["emailAddress"]
    name = one.get("name") or ""
    return Address(one["address"], "" if name == one["address"] else name)


def _decoded(value: object) -> str:
    """A header's value for people; what cannot be decoded stays as it is."""
    text = " ".join(str(value).split())
    try:
        return str(make_header(decode_header(text)))
    except (LookupError, ValueError, UnicodeError, HeaderParseError):
        return text.encode("utf-8", "replace").decode("utf-8")


def _people(message: Message, name: str) -> list[Json]:
    pairs = getaddresses([" ".join(str(value).split()) for value in message.get_all(name, [])])
    return [
        {"emailAddress": {"address": _decoded(address), "name": _decoded(shown or address)}}
        for shown, address in pairs
        if address
    ]


def _text_of(part: Message) -> str:
    payload = part.get_payload(decode=True)
    data = payload if isinstance(payload, bytes) else str(part.get_payload()).encode("utf-8", "replace")
    try:
        return data.decode(part.get_content_charset("utf-8"), "replace").replace("\0", "")
    except (LookupError, ValueError):
        return data.decode("latin-1").replace("\0", "")


def _read_fields(raw: bytes) -> Json:
    """The properties that the service makes of a mail that arrives: of its bodies the HTML, where there is one."""
    message = email.message_from_bytes(raw)
    bodies = [one for one in message.walk() if one.get_content_maintype() == "text" and not one.get_filename()]
    bodies.sort(key=lambda one: ("html", "plain").index(one.get_content_subtype())
                if one.get_content_subtype() in ("html", "plain") else 2)  # fmt: skip
    part = bodies[0] if bodies else None
    content = _text_of(part) if part is not None else ""
    kind = "html" if part is not None and part.get_content_subtype() == "html" else "text"
    senders = _people(message, "From")
    found: Json = {
        "internetMessageId": _decoded(message.get("Message-ID", "")) or None,
        "subject": _decoded(message.get("Subject", "")),
        "body": {"contentType": kind, "content": content.replace("\r\n", "\n").replace("\n", "\r\n")},
        "bodyPreview": content[:100],
        "from": senders[0] if senders else None,
        "sender": next(iter(_people(message, "Sender") or senders), None),
        "replyTo": _people(message, "Reply-To"),
        "toRecipients": _people(message, "To"),
        "ccRecipients": _people(message, "Cc"),
        "bccRecipients": _people(message, "Bcc"),
        "sentDateTime": _date_of(message),
        "internetMessageHeaders": [
            {"name": name, "value": _plain(value)} for name, value in message.items() if name.isascii()
        ],
    }
    if any(one.get_content_type() == "text/calendar" for one in message.walk()):
        found["@odata.type"] = "#microsoft.graph.eventMessageRequest"
    return found


def _plain(value: object) -> str:
    return " ".join(str(value).split()).encode("utf-8", "replace").decode("utf-8")


def _date_of(message: Message) -> str | None:
    try:
        return _stamp(parsedate_to_datetime(str(message.get("Date", ""))))
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _read_attachments(raw: bytes) -> Iterator[Json]:
    parts = [one for one in email.message_from_bytes(raw).walk() if not one.is_multipart()]
    for number, part in enumerate(parts):
        if not part.get_filename() and part.get_content_disposition() != "attachment":
            continue
        payload = part.get_payload(decode=True)
        content = payload if isinstance(payload, bytes) else b""
        yield {
            "@odata.type": "#microsoft.graph.fileAttachment",
            "id": f"AAkAatt{number}",
            "name": _decoded(part.get_filename() or ""),
            "contentType": part.get_content_type(),
            "size": len(content),
            "isInline": part.get_content_disposition() == "inline",
            "contentBytes": base64.b64encode(content).decode(),
        }


def _further_headers(mail: FakeMail) -> Iterator[tuple[str, str]]:
    """The headers that a sender may set: x- as such, others as properties. The service drops Auto-Submitted."""
    for key, value in mail.properties.items():
        match = _HEADER_PROPERTY.match(key)
        if match and match[1].lower() != "auto-submitted":
            yield match[1], value
        elif key == _UNSUBSCRIBE:
            yield "List-Unsubscribe", value
    for one in mail.fields.get("internetMessageHeaders") or ():
        if one["name"].lower().startswith("x-"):
            yield one["name"], one["value"]


def _with_attachments(raw: bytes, attachments: Sequence[Json]) -> bytes:
    message = email.message_from_bytes(raw, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    for one in attachments:
        main, _, sub = str(one["contentType"]).partition("/")
        message.add_attachment(
            base64.b64decode(one["contentBytes"]), maintype=main, subtype=sub, filename=str(one["name"])
        )
    return message.as_bytes(policy=email.policy.SMTP)
