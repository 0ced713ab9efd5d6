"""The requests that change something in a mailbox, one function each. All raise ConnectorError.

Whatever we lay down carries our stamp, the Message-ID it has with us, in a property of our own: Exchange gives a reply
and a sent mail an id of its own choosing, and the stamp goes with the mail into Sent.
"""

from __future__ import annotations

import base64
from datetime import datetime
from typing import Final

from connectors.exchange.finding import equals, find
from connectors.exchange.link import Answer, Link
from connectors.exchange.trouble import refusal
from connectors.exchange.words import (
    Element,
    M,
    T,
    child,
    extended,
    field,
    folder_ids,
    item_id,
    item_ids,
    item_shape,
    named,
    property_tag,
    text,
    utc,
)
from connectors.model import Enclosure
from connectors.outgoing import message_id_of

__all__ = ["STAMP", "attach", "create", "find_ours", "remove", "reply", "stamp", "update", "whole"]

STAMP: Final = "quietcrm"
"""The name of our property."""
_MESSAGE_FLAGS, _DELIVERED, _SUBMITTED = 0x0E07, 0x0E06, 0x0039
_MOST_COPIES = 50
_GONE = frozenset({"ErrorItemNotFound", "ErrorInvalidIdMalformed"})

Ref = tuple[str, str]
"""(id, change key)."""


def _item(link: Link, answer: Answer) -> Ref:
    if not answer.is_good:
        raise refusal(link.settings, answer.code, answer.words)
    element = next(iter(answer.within("Items")), None)
    found = child(element, "ItemId") if element is not None else None
    return (str(found.get("Id")), str(found.get("ChangeKey", ""))) if found is not None else ("", "")


def create(
    link: Link, folder: str, raw: bytes, message_id: str, *, flags: int | None = None, at: datetime | None = None
) -> Ref:
    """Lay a mail into a folder. `flags` = MSGFLAG_READ 1, MSGFLAG_UNSENT 8 (MS-OXCMSG 2.2.1.6); None leaves it a draft.
    `at` is when it arrived, or left."""
    made = T.Message(T.MimeContent(base64.b64encode(raw).decode("ascii"), CharacterSet="UTF-8"))
    made.append(extended(named(STAMP), message_id))
    if flags is not None:
        made.append(extended(property_tag(_MESSAGE_FLAGS, "Integer"), str(flags)))
    for tag in (_DELIVERED, _SUBMITTED) if at is not None else ():
        made.append(extended(property_tag(tag, "SystemTime"), utc(at)))  # type: ignore[arg-type]
    return _created(link, folder, made)


def reply(link: Link, drafts: str, to: Ref, *, subject: str, body: Element, people: list[Element]) -> Ref:
    """A draft that answers a mail of this mailbox: the server sees to the thread, and quotes the mail below."""
    made = T.ReplyToItem(T.Subject(subject), *people, T.ReferenceItemId(Id=to[0], ChangeKey=to[1]), body)
    return _created(link, drafts, made)


def _created(link: Link, folder: str, made: Element) -> Ref:
    request = M.CreateItem(folder_ids("SavedItemFolderId", [folder]), M.Items(made), MessageDisposition="SaveOnly")
    (answer,) = link.ask(request, repeatable=False)
    return _item(link, answer)


def stamp(link: Link, ref: Ref, message_id: str) -> Ref:
    """Put our stamp on an item."""
    return update(link, ref, (named(STAMP), T.Message(extended(named(STAMP), message_id))))


def update(link: Link, ref: Ref, *changes: tuple[Element, Element]) -> Ref:
    """Set these (path, t:Message with the new value); fails with Conflict if somebody changed the item meanwhile."""
    updates = T.Updates(*(T.SetItemField(path, value) for path, value in changes))
    request = M.UpdateItem(
        M.ItemChanges(T.ItemChange(item_id(*ref), updates)),
        ConflictResolution="NeverOverwrite",
        MessageDisposition="SaveOnly",
        SuppressReadReceipts="true",
    )
    (answer,) = link.ask(request)
    return _item(link, answer)


def attach(link: Link, ref: Ref, files: tuple[Enclosure, ...]) -> Ref:
    """Hang files on an item; its new change key comes back."""
    for one in files:
        content = base64.b64encode(one.content).decode("ascii")
        file = T.FileAttachment(T.Name(one.name), T.ContentType(one.content_type), T.Content(content))
        request = M.CreateAttachment(M.ParentItemId(Id=ref[0], ChangeKey=ref[1]), M.Attachments(file))
        (answer,) = link.ask(request, repeatable=False)
        if not answer.is_good:
            raise refusal(link.settings, answer.code, answer.words)
        made = child(next(iter(answer.within("Attachments")), answer.element), "AttachmentId")
        if made is not None:
            ref = str(made.get("RootItemId", ref[0])), str(made.get("RootItemChangeKey", ref[1]))
    return ref


def remove(link: Link, refs: list[str]) -> None:
    """Take items away; what has gone by itself is no trouble. They stay in Recoverable Items for a while."""
    request = M.DeleteItem(
        item_ids(refs),
        DeleteType="SoftDelete",
        SendMeetingCancellations="SendToNone",
        AffectedTaskOccurrences="AllOccurrences",
        SuppressReadReceipts="true",
    )
    for answer in link.ask(request):
        if not answer.is_good and answer.code not in _GONE:
            raise refusal(link.settings, answer.code, answer.words)


def whole(link: Link, ref: str) -> tuple[Ref, bytes, str] | None:
    """((id, change key), MIME, our stamp on it or "") of an item; None if it has gone."""
    (answer,) = link.ask(M.GetItem(item_shape(named(STAMP), mime=True), item_ids([ref])))
    if answer.code in _GONE:
        return None
    found = _item(link, answer)
    element = next(iter(answer.within("Items")))
    return found, base64.b64decode(text(element, "MimeContent") or ""), text(element, "ExtendedProperty", "Value")


def find_ours(link: Link, folder: str, message_id: str) -> list[tuple[Ref, bytes]]:
    """((id, change key), MIME) of mail in a folder that carries our stamp or has this Message-ID, oldest first."""
    known = T.Or(
        equals(named(STAMP), message_id),
        equals(field("message:InternetMessageId"), f"<{message_id}>"),
    )
    found, _ = find(link, folder, known, limit=_MOST_COPIES)
    copies = []
    for ref, _ in reversed(found):
        one = whole(link, ref)
        if one and message_id in (one[2], message_id_of(one[1])):
            copies.append((one[0], one[1]))
    return copies
