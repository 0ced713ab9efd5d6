"""Items of the EWS server as XML: the properties that were asked for, in the order of the schema."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import getaddresses, parsedate_to_datetime
from typing import Any

from lxml import etree
from lxml.builder import ElementMaker
from servers.ews_store import ExtKey, Item

MNS = "http://schemas.microsoft.com/exchange/services/2006/messages"
TNS = "http://schemas.microsoft.com/exchange/services/2006/types"
T = ElementMaker(namespace=TNS, nsmap={"t": TNS, "m": MNS})
M = ElementMaker(namespace=MNS, nsmap={"t": TNS, "m": MNS})
Element = Any

TRANSPORT_HEADERS: ExtKey = ("0x007d", "String")
_TAG = re.compile(r"<[^>]*>")


def stamp(moment: datetime, fraction: str = "") -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S}{fraction}Z"


def local(element: Element) -> str:
    return str(etree.QName(element).localname)


def ext_key(uri: Element) -> ExtKey:
    """("0x1090", "Integer") of an ExtendedFieldURI, ("guid/name", "String") of a named one."""
    name = uri.get("PropertyTag") or f"{uri.get('PropertySetId') or uri.get('DistinguishedPropertySetId')}/" + (
        uri.get("PropertyName") or uri.get("PropertyId") or ""
    )
    return name.lower(), uri.get("PropertyType", "")


class Shape:
    """What an ItemShape asks for."""

    def __init__(self, element: Element) -> None:
        def text(name: str) -> str:
            return element.findtext(f"{{{TNS}}}{name}") or ""

        self.base = text("BaseShape")
        self.mime = text("IncludeMimeContent") == "true"
        self.body_type = text("BodyType") or "Best"
        self.body_size = int(text("MaximumBodySize") or 0)
        self.fields = {uri.get("FieldURI", "") for uri in element.iter(f"{{{TNS}}}FieldURI")}
        self.extended = list(element.iter(f"{{{TNS}}}ExtendedFieldURI"))
        if self.base in ("Default", "AllProperties"):
            self.fields |= {"item:Subject", "message:From", "item:DateTimeReceived", "message:IsRead", "item:Size"}
        self.mime = self.mime or "item:MimeContent" in self.fields


def render(item: Item, shape: Shape, fraction: str = "") -> Element:
    """A t:Message (or a t:MeetingRequest ...) with its id and what the shape asks for."""
    found = _element_of(item)
    if shape.mime:
        found.append(T.MimeContent(base64.b64encode(item.raw).decode(), CharacterSet="UTF-8"))
    found.append(T.ItemId(Id=item.id, ChangeKey=item.change_key))
    for field, make in _ITEM_FIELDS.items():
        if field in shape.fields:
            found.extend(make(item, shape, fraction))
    for uri in shape.extended:
        value = extended(item, ext_key(uri), fraction)
        if value is not None:
            found.append(T.ExtendedProperty(T.ExtendedFieldURI(dict(uri.attrib)), T.Value(value)))
    if "item:LastModifiedTime" in shape.fields:
        found.append(T.LastModifiedTime(stamp(item.edited or item.received, fraction)))
    if "item:Flag" in shape.fields:
        found.extend(_follow_up(item, shape, fraction))
    for field, make in _MESSAGE_FIELDS.items():
        if field in shape.fields and found.tag == f"{{{TNS}}}Message":
            found.extend(make(item, shape, fraction))
    return found


def _element_of(item: Item) -> Element:
    if item.item_class.startswith("IPM.Schedule.Meeting.Request"):
        return T.MeetingRequest()
    return T.Message()


def extended(item: Item, key: ExtKey, fraction: str = "") -> str | None:
    if key == TRANSPORT_HEADERS:
        return item.header if item.transport else None
    if key == ("0x0e06", "SystemTime"):
        return stamp(item.received, fraction)
    return item.extended.get(key)


def body_of(item: Item) -> tuple[str, str]:
    """(HTML or Text, content) as the store keeps it: HTML where the mail has any."""
    try:
        part = item.mail.get_body(("html", "plain"))
    except (AttributeError, KeyError):
        return "Text", ""
    if part is None:
        return "Text", ""
    try:
        content = str(part.get_content())
    except (LookupError, KeyError, ValueError):
        content = (part.get_payload(decode=True) or b"").decode("utf-8", "replace")  # type: ignore[union-attr]
    return ("HTML" if part.get_content_subtype() == "html" else "Text"), content


def as_text(kind: str, content: str) -> str:
    return content if kind == "Text" else _TAG.sub("", content)


def _body(item: Item, shape: Shape, fraction: str) -> Iterator[Element]:
    kind, content = body_of(item)
    if shape.body_type == "Text":
        kind, content = "Text", as_text(kind, content)
    cut = bool(shape.body_size) and len(content.encode()) > shape.body_size
    if cut:
        content = content.encode()[: shape.body_size].decode("utf-8", "ignore")
    yield T.Body(_xml(content), BodyType=kind, IsTruncated="true" if cut else "false")


def _xml(text: str) -> str:
    """What XML 1.0 can say."""
    return re.sub(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "", text)


def attachments_of(mail: EmailMessage) -> list[EmailMessage]:
    try:
        return [part for part in mail.iter_attachments() if isinstance(part, EmailMessage)]
    except (AttributeError, TypeError):
        return []


def _attachments(item: Item, shape: Shape, fraction: str) -> Iterator[Element]:
    made = []
    for number, part in enumerate(attachments_of(item.mail)):
        whole = part.get_content_type() == "message/rfc822"
        make = T.ItemAttachment if whole else T.FileAttachment
        data = part.get_payload(decode=True) or b""
        made.append(
            make(
                T.AttachmentId(Id=f"{item.id}-{number}"),
                T.Name(_xml(part.get_filename() or "")),
                T.ContentType(part.get_content_type()),
                T.Size(str(len(data) if isinstance(data, bytes) else 0)),
                T.IsInline("false"),
            )
        )
    if made:
        yield T.Attachments(*made)


def mailboxes(text: str) -> list[Element]:
    return [
        T.Mailbox(T.Name(_xml(name or address)), T.EmailAddress(_xml(address)), T.RoutingType("SMTP"))
        for name, address in getaddresses([text])
        if address
    ]


def _people(tag: str, header: str) -> Callable[[Item, Shape, str], Iterator[Element]]:
    def make(item: Item, shape: Shape, fraction: str) -> Iterator[Element]:
        found = mailboxes(item.text(header))
        if found:
            yield T(tag, *(found[:1] if tag in ("From", "Sender") else found))

    return make


def _sent_at(item: Item) -> datetime:
    try:
        return parsedate_to_datetime(item.text("Date"))
    except (ValueError, TypeError):
        return item.received


def _text(tag: str, value: Callable[[Item], str]) -> Callable[[Item, Shape, str], Iterator[Element]]:
    def make(item: Item, shape: Shape, fraction: str) -> Iterator[Element]:
        if found := value(item):
            yield T(tag, _xml(found))

    return make


def _flag(value: bool) -> str:
    return "true" if value else "false"


def _categories(item: Item, shape: Shape, fraction: str) -> Iterator[Element]:
    if item.categories:
        yield T.Categories(*(T.String(name) for name in item.categories))


FLAG_STATUS: ExtKey = ("0x1090", "Integer")


def _follow_up(item: Item, shape: Shape, fraction: str) -> Iterator[Element]:
    if item.extended.get(FLAG_STATUS) == "2":
        day = [T.StartDate(stamp(item.due)), T.DueDate(stamp(item.due))] if item.due else []
        yield T.Flag(T.FlagStatus("Flagged"), *day)
    else:
        yield T.Flag(T.FlagStatus("NotFlagged"))


_Make = Callable[[Item, Shape, str], Iterator[Element]]

_ITEM_FIELDS: dict[str, _Make] = {
    "item:ParentFolderId": lambda item, *_: iter([T.ParentFolderId(Id=item.folder)]),
    "item:ItemClass": _text("ItemClass", lambda item: item.item_class),
    "item:Subject": _text("Subject", lambda item: item.text("Subject")),
    "item:Body": _body,
    "item:Attachments": _attachments,
    "item:DateTimeReceived": lambda item, _, part: iter([T.DateTimeReceived(stamp(item.received, part))]),
    "item:Size": _text("Size", lambda item: str(len(item.raw))),
    "item:Categories": _categories,
    "item:InReplyTo": _text("InReplyTo", lambda item: item.text("In-Reply-To")),
    "item:IsSubmitted": _text("IsSubmitted", lambda item: _flag(item.submitted)),
    "item:IsDraft": _text("IsDraft", lambda item: _flag(item.draft)),
    "item:DateTimeSent": lambda item, _, part: iter([T.DateTimeSent(stamp(_sent_at(item), part))]),
    "item:DateTimeCreated": lambda item, _, part: iter([T.DateTimeCreated(stamp(item.received, part))]),
    "item:HasAttachments": _text("HasAttachments", lambda item: _flag(bool(attachments_of(item.mail)))),
}

_MESSAGE_FIELDS: dict[str, _Make] = {
    "message:Sender": _people("Sender", "Sender"),
    "message:ToRecipients": _people("ToRecipients", "To"),
    "message:CcRecipients": _people("CcRecipients", "Cc"),
    "message:BccRecipients": _people("BccRecipients", "Bcc"),
    "message:From": _people("From", "From"),
    "message:InternetMessageId": _text("InternetMessageId", lambda item: item.text("Message-ID").strip()),
    "message:IsRead": _text("IsRead", lambda item: _flag(item.read)),
    "message:References": _text("References", lambda item: item.text("References")),
    "message:ReplyTo": _people("ReplyTo", "Reply-To"),
}
