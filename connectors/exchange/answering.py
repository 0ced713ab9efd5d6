"""A draft as a reply: the mail it answers, what is said in it, and a reply of ours whose stamp got lost on the way."""

from __future__ import annotations

import email
from collections.abc import Sequence
from typing import TypedDict

from connectors.exchange import writing
from connectors.exchange.finding import equals, find
from connectors.exchange.link import Link
from connectors.exchange.words import Element, M, T, child, field, folder_ids, item_shape
from connectors.folders import Folder, Purpose
from connectors.model import Address, OutgoingMail
from connectors.outgoing import wire_address

__all__ = ["find_original", "find_orphan", "reply_parts"]

_NOT_LOOKED_INTO = (Purpose.DRAFTS, Purpose.TRASH, Purpose.JUNK, Purpose.VIEW)
_FOLDERS_AT_ONCE = 50


class ReplyParts(TypedDict):
    """What `writing.reply` wants."""

    subject: str
    body: Element
    people: list[Element]


def find_original(link: Link, folders: Sequence[Folder], message_id: str) -> tuple[str, str] | None:
    """(id, change key) of the mail with this Message-ID, the Inbox first; None if this mailbox does not have it."""
    wanted = [folder for folder in folders if folder.purpose not in _NOT_LOOKED_INTO]
    wanted.sort(key=lambda folder: folder.purpose is not Purpose.INBOX)
    restriction = M.Restriction(equals(field("message:InternetMessageId"), f"<{message_id}>"))
    for start in range(0, len(wanted), _FOLDERS_AT_ONCE):
        keys = [folder.key for folder in wanted[start : start + _FOLDERS_AT_ONCE]]
        view = M.IndexedPageItemView(MaxEntriesReturned="1", Offset="0", BasePoint="Beginning")
        request = M.FindItem(item_shape(), view, restriction, folder_ids("ParentFolderIds", keys), Traversal="Shallow")
        for answer in link.ask(request):
            items = child(answer.within("RootFolder"), "Items")
            found = child(next(iter(items), None), "ItemId") if items is not None else None
            if found is not None:
                return str(found.get("Id")), str(found.get("ChangeKey", ""))
    return None


def reply_parts(mail: OutgoingMail) -> ReplyParts:
    """Subject, new text and recipients as we want them, not as the server would choose them."""
    kind, words = ("HTML", mail.html) if mail.html else ("Text", mail.text)
    people = [T.ToRecipients(*map(_mailbox, mail.to))]
    if mail.cc:
        people.append(T.CcRecipients(*map(_mailbox, mail.cc)))
    return {"subject": mail.subject, "body": T.NewBodyContent(words, BodyType=kind), "people": people}


def _mailbox(person: Address) -> Element:
    return T.Mailbox(T.Name(person.name or person.email), T.EmailAddress(wire_address(person.email)))


def find_orphan(link: Link, drafts: Folder, mail: OutgoingMail) -> tuple[str, str] | None:
    """A reply of ours that the server made and of which we never heard: it answers the same mail, says the same, and
    bears nobody's stamp. Without this a line that breaks at the wrong moment leaves the rep two drafts."""
    found, _ = find(link, drafts.key, equals(field("item:InReplyTo"), f"<{mail.in_reply_to}>"), limit=20)
    for ref, _ in found:
        one = writing.whole(link, ref)
        if one and not one[2] and _says(one[1], mail):
            return one[0]
    return None


def _says(raw: bytes, mail: OutgoingMail) -> bool:
    """Whether a draft begins with our words."""
    wanted = " ".join((mail.html or mail.text).split())
    for part in email.message_from_bytes(raw).walk():
        data = part.get_payload(decode=True)
        if part.get_content_maintype() == "text" and isinstance(data, bytes):
            said = " ".join(data.decode(part.get_content_charset("utf-8"), "replace").split())
            if wanted and wanted in said:
                return True
    return False
