"""The neutral shapes that cross the connector boundary. Standard library only; all frozen.

A connector turns what its protocol gives into these; nobody above it knows which protocol it was.
Times are aware UTC. Text holds no NUL and no lone surrogate (the parser is the one gate for that).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, NewType

if TYPE_CHECKING:
    from connectors.calendars import Invitation  # the shapes of calendars are a module of their own

Cursor = NewType("Cursor", str)
"""A position in an account. Opaque: only the connector that made it reads it."""


class FolderRole(StrEnum):
    """What a folder is for, as far as reading mail goes."""

    INBOX = "inbox"
    SENT = "sent"
    OTHER = "other"


class Kind(StrEnum):
    """What sort of mail this is (decides who sees it by default)."""

    HUMAN = "human"
    AUTO_REPLY = "auto_reply"
    OUT_OF_OFFICE = "out_of_office"
    BOUNCE = "bounce"
    BULK = "bulk"
    NOTICE = "notice"
    INVITATION = "invitation"
    FEEDBACK = "feedback"


@dataclass(frozen=True, slots=True)
class Address:
    """One mailbox address. `email` has its domain in lower case (A-labels), the local part as written."""

    email: str
    name: str = ""

    @property
    def key(self) -> str:
        """The form in which addresses are compared: all lower case."""
        return self.email.lower()

    @property
    def domain(self) -> str:
        """The part behind the last @, lower case; "" if there is none."""
        return self.email.rpartition("@")[2].lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """What is known of an attachment without downloading it. `size` in bytes as transferred, -1 if unknown."""

    name: str
    content_type: str
    size: int = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounce:
    """What a delivery report says. `hard` is None where it cannot be told (delayed, unclear).

    Of a complaint (Kind.FEEDBACK) it says who complained of which mail: reason "complaint", hard None.

    `status` is the enhanced code of RFC 3463 ("5.1.1") or "". `reason` is one word of our own list:
    user_unknown, host_unknown, mailbox_full, too_big, spam, blocked, policy, expired, suspended, loop, delayed, other.
    `original_message_id` names the mail that came back, "" if the report does not say.
    """

    recipients: tuple[str, ...]
    hard: bool | None
    reason: str
    status: str = ""
    original_message_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One mail as quietcrm sees it: header and text, never the attachments' bytes.

    account, folder     where this copy lies; `folder` is the display name (decoded from modified UTF-7)
    ref                 names the copy in its folder for ever, e.g. "UIDVALIDITY:UID"
    message_id          without angle brackets and white space; "" if the mail has none
    references          References then In-Reply-To, oldest first, same form, no repeats
    sent_at             the Date header; None if missing or impossible
    received_at         when the server took it in (INTERNALDATE, file time); orders mail and sets baselines
    sender              From; None if missing or unreadable. `sent_by` is Sender where it differs
    text                what the writer newly wrote; `quoted` and `signature` were cut off it
    headers             (name in lower case, decoded value) in order, without trace headers; at most 200, 2,000
                        characters each
    away_until          the return date an out-of-office states
    size                bytes of the whole mail on the server, -1 if unknown
    flags               as the server has them (IMAP: "\\Seen", "\\Flagged", keywords)
    categories          names that the rep's mail program shows on it (Outlook's categories, IMAP keywords without $)
    degraded            why parts are missing or guessed; empty for a sound mail. "header only" = the text was not read
    markup              schema.org data of the HTML part as (dotted path, value): ("Order.orderNumber", "88123"); at
                        most 200, 500 characters each
    verdicts            (name of a server, its DMARC result or ""), the topmost Authentication-Results first; at most 5.
                        Only the name of our own server proves anything
    invitations         calendars that came with it, as parts or as attached files; at most 5
    """

    account: str
    folder: str
    folder_role: FolderRole = FolderRole.OTHER
    ref: str
    message_id: str
    references: tuple[str, ...] = ()
    in_reply_to: str = ""
    sent_at: datetime | None
    received_at: datetime
    sender: Address | None
    sent_by: Address | None = None
    reply_to: tuple[Address, ...] = ()
    to: tuple[Address, ...] = ()
    cc: tuple[Address, ...] = ()
    bcc: tuple[Address, ...] = ()
    subject: str = ""
    text: str = ""
    quoted: str = ""
    signature: str = ""
    attachments: tuple[Attachment, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    kind: Kind = Kind.HUMAN
    bounce: Bounce | None = None
    away_until: date | None = None
    size: int = -1
    flags: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    degraded: tuple[str, ...] = ()
    markup: tuple[tuple[str, str], ...] = ()
    verdicts: tuple[tuple[str, str], ...] = ()
    invitations: tuple[Invitation, ...] = ()

    def people(self) -> Iterator[Address]:
        """Everyone named in the header: From, Sender, Reply-To, To, Cc, Bcc; the same address may come twice."""
        if self.sender:
            yield self.sender
        if self.sent_by:
            yield self.sent_by
        yield from self.reply_to
        yield from self.to
        yield from self.cc
        yield from self.bcc

    def header(self, name: str) -> str:
        """The first value of a header, "" if the mail has none. `name` in lower case."""
        return next((value for key, value in self.headers if key == name), "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """One mail that could not be fetched or parsed. The pipeline counts attempts and puts it into quarantine.

    stage       "fetch" (the server refused or cut it), "parse" (beyond the limits, the child died), "size"
    reason      one sentence for the admin
    raw         what was fetched, at most 1 MB; b"" if nothing came
    people      addresses read from the header as far as possible: nothing is kept of internal or never-log mail
    transient   a later fetch may succeed (the connection was cut), so the cursor's owner should ask again
    """

    account: str
    folder: str
    ref: str
    stage: str
    reason: str
    raw: bytes = b""
    people: tuple[Address, ...] = ()
    message_id: str = ""
    received_at: datetime | None = None
    size: int = -1
    transient: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RawPart:
    """One leaf of a mail as the server gave it, still transfer-encoded.

    content_type  "text/plain", "text/html", "text/calendar", "message/delivery-status", "text/rfc822-headers",
                  "message/rfc822" (then `body` is the header block of that mail), "message/feedback-report"
    parameters    of Content-Type, names in lower case
    encoding      Content-Transfer-Encoding in lower case
    spare         the HTML beside a plain text that is there: read for its markup, never for its text
    """

    content_type: str
    parameters: tuple[tuple[str, str], ...] = ()
    encoding: str = ""
    body: bytes = b""
    truncated: bool = False
    spare: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RawMail:
    """Bytes on their way to the parser: either the whole mail (`whole`), or header, chosen parts and the rest by name.

    `header` ends with the empty line. With `header` set and no parts the mail becomes a header-only row, `degraded`
    by `notes`. The other fields are passed through to `Message`.
    """

    account: str
    folder: str
    folder_role: FolderRole = FolderRole.OTHER
    ref: str
    received_at: datetime
    size: int = -1
    flags: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    whole: bytes = b""
    header: bytes = b""
    parts: tuple[RawPart, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    content_type: str = ""
    notes: tuple[str, ...] = ()


Item = Message
"""What a source of mail yields; calendars have sources of their own (`connectors.calendars`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far the back-fill of an account is, in messages. `done == total` means finished."""

    done: int = 0
    total: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """A copy of a mail as it is marked now. The same one may come again unchanged; `message_id` "" where not told."""

    folder: str
    ref: str
    message_id: str = ""
    flags: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """What a rule does to a mail in a rep's mailbox. Nothing else of it changes, least of all whether it was read.

    add, remove   categories by name, "CRM: lead"
    flag          follow up by this day; `unflag` takes the flag away
    move          into this folder, "CRM/Pedidos", made if it is not there; "" = where it is
    """

    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    flag: date | None = None
    unflag: bool = False
    move: str = ""


NO_DAY = "keeps no day with a flag"
"""In `Marked.missing`: the mail is flagged, the server has no place for the day."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Marked:
    """What came of it. `folder` and `ref` say where the mail lies now; both "" = it is no longer in the mailbox.

    missing   what this server cannot do, each in words: "keeps no categories"
    """

    folder: str = ""
    ref: str = ""
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """One answer of a source. Store items and cursor in the same transaction, or neither.

    more        call fetch again at once with `cursor`: there is more to read now
    backfill    these items come from the back-fill range (newest first), not from the live range
    folders     every folder watched now, as display names; lets the pipeline notice new ones
    removed     (folder, ref) of copies that are gone, where the protocol tells; never a reason to delete history
    changed     copies that were read before and are marked otherwise now, where the protocol tells
    """

    items: tuple[Item, ...] = ()
    unreadable: tuple[Unreadable, ...] = ()
    cursor: Cursor
    more: bool = False
    backfill: bool = False
    folders: tuple[str, ...] = ()
    removed: tuple[tuple[str, str], ...] = ()
    changed: tuple[Remark, ...] = ()
    progress: Progress = field(default_factory=Progress)


@dataclass(frozen=True, slots=True, kw_only=True)
class Enclosure:
    """A file that goes with a mail we write."""

    name: str
    content_type: str
    content: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingMail:
    """A mail quietcrm writes: a draft, a reminder, a notice. One recipient, or several for a draft's Cc.

    message_id  made when queued (without angle brackets), so a repeat is recognisable
    headers     further headers, e.g. ("Auto-Submitted", "auto-generated"); checked for control characters
    """

    message_id: str
    sender: Address
    to: tuple[Address, ...]
    cc: tuple[Address, ...] = ()
    subject: str
    text: str
    html: str = ""
    date: datetime
    in_reply_to: str = ""
    references: tuple[str, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    files: tuple[Enclosure, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """Where a mail we laid into a mailbox lies. `content_hash` tells later whether somebody edited it."""

    folder: str
    ref: str
    content_hash: str
