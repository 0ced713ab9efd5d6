"""The operations of the EWS server: a request's element in, response messages out. Keeps to Microsoft's documented
behaviour: ids that change on move, errors a message each, limits that are asserted and not just answered."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from functools import lru_cache
from typing import TYPE_CHECKING

from lxml import etree
from servers.ews_calendars import (
    LONGEST_VIEW,
    NOT_FOUND_BY_FIND,
    Appointment,
    Todo,
    clear_field,
    find_occurrence,
    in_view,
    make_entry,
    render_entry,
    set_fields,
    would_send,
)
from servers.ews_items import (
    FLAG_STATUS,
    MNS,
    TNS,
    Element,
    M,
    Shape,
    T,
    as_text,
    body_of,
    ext_key,
    extended,
    local,
    render,
    stamp,
)
from servers.ews_store import START, Folder, Item, Mailbox, StateRefused

if TYPE_CHECKING:
    from servers.ews import EwsServer

MOST_CHANGES = 512
MOST_FOUND = 1000
MOST_BODIES = 10
MESSAGE_FLAGS = ("0x0e07", "Integer")
DELIVERED = ("0x0e06", "SystemTime")
COMMIT = ("0x670a", "SystemTime")


class Refusal(Exception):
    """An EWS ResponseCode with its words."""

    def __init__(self, code: str, text: str = "") -> None:
        super().__init__(code)
        self.code, self.text = code, text or code


@dataclass
class Caller:
    """Who asks, and for whose mailbox."""

    login: str
    mailbox: Mailbox


def answer(server: EwsServer, caller: Caller, request: Element) -> Element:
    """The response element to a request element. Raises Refusal where the whole request is refused."""
    name = local(request)
    if name not in _OPERATIONS:
        raise Refusal("ErrorInvalidRequest", f"this server does not know {name}")
    messages = list(_OPERATIONS[name](server, caller, request))
    if name == "GetUserConfiguration":  # by the schema the one message is the response itself
        (only,) = messages
        only.tag = f"{{{MNS}}}GetUserConfigurationResponse"
        return only
    return M(f"{name}Response", M.ResponseMessages(*messages))


def good(name: str, *content: Element) -> Element:
    return M(f"{name}ResponseMessage", M.ResponseCode("NoError"), *content, ResponseClass="Success")


def bad(name: str, refusal: Refusal, *content: Element) -> Element:
    words = M.MessageText(refusal.text), M.ResponseCode(refusal.code), M.DescriptiveLinkKey("0")
    return M(f"{name}ResponseMessage", *words, *content, ResponseClass="Error")


# -- whose mailbox, which folder


def _folder(server: EwsServer, caller: Caller, holder: Element) -> Folder:
    """The folder that a FolderId or DistinguishedFolderId names."""
    for one in holder.iter(f"{{{TNS}}}DistinguishedFolderId"):
        address = one.findtext(f"{{{TNS}}}Mailbox/{{{TNS}}}EmailAddress")
        box = server.boxes.get(address) if address else caller.mailbox
        try:
            found = box.folder(one.get("Id", "")) if box else None
        except KeyError:
            raise Refusal("ErrorFolderNotFound") from None
        if address or found is None:
            server.box_for(caller.login, address or "", folder=found)
        assert found is not None
        return found
    for one in holder.iter(f"{{{TNS}}}FolderId"):
        for box in server.boxes.values():
            if one.get("Id", "") in box.folders:
                found = box.folders[one.get("Id", "")]
                server.box_for(caller.login, box.address, beside=caller.mailbox, folder=found)
                return found
    raise Refusal("ErrorFolderNotFound", "The specified folder could not be found in the store.")


def _box_of(server: EwsServer, folder: Folder) -> Mailbox:
    return next(box for box in server.boxes.values() if folder.id in box.folders)


def _item(server: EwsServer, id: str) -> tuple[Mailbox, Item]:
    try:
        base64.b64decode(id, validate=True)
    except ValueError:
        raise Refusal("ErrorInvalidIdMalformed", "Id is malformed.") from None
    for box in server.boxes.values():
        if found := box.find(id):
            return box, found
    if occurrence := find_occurrence(server, id):
        return occurrence
    raise Refusal("ErrorItemNotFound", "The specified object was not found in the store.")


def _ids(request: Element) -> list[tuple[str, str]]:
    holder = request.find(f"{{{MNS}}}ItemIds")
    return [(one.get("Id", ""), one.get("ChangeKey", "")) for one in holder] if holder is not None else []


def _each(name: str, ids: list[tuple[str, str]], act: Callable[[str, str], list[Element]]) -> Iterator[Element]:
    for id, key in ids:
        try:
            yield good(name, M.Items(*act(id, key)))
        except Refusal as refusal:
            yield bad(name, refusal, M.Items())


# -- folders


_FOLDER_KINDS = {"IPF.Appointment": T.CalendarFolder, "IPF.Contact": T.ContactsFolder, "IPF.Task": T.TasksFolder}


def _show(server: EwsServer, item: Item, shape: Shape) -> Element:
    if isinstance(item, Appointment | Todo):
        return render_entry(server, item, shape)
    return render(item, shape, server.fraction)


def _shown_id(item: Item) -> Element:
    kind = T.CalendarItem if isinstance(item, Appointment) else T.Task if isinstance(item, Todo) else T.Message
    return kind(T.ItemId(Id=item.id, ChangeKey=item.change_key))


def _folder_element(server: EwsServer, folder: Folder, request: Element) -> Element:
    uris = {uri.get("FieldURI") for uri in request.iter(f"{{{TNS}}}FieldURI")}
    found = _FOLDER_KINDS.get(folder.folder_class, T.Folder)(T.FolderId(Id=folder.id, ChangeKey="AQAAAA=="))
    if "folder:ParentFolderId" in uris:
        found.append(T.ParentFolderId(Id=folder.parent or folder.id))
    if "folder:FolderClass" in uris:
        found.append(T.FolderClass(folder.folder_class))
    if "folder:DisplayName" in uris:
        found.append(T.DisplayName(folder.name))
    if "folder:TotalCount" in uris:
        found.append(T.TotalCount(str(len(folder.items))))
    for uri in request.iter(f"{{{TNS}}}ExtendedFieldURI"):  # before the rights in the schema
        if ext_key(uri) == COMMIT and server.commit_times:
            at = stamp(START + timedelta(seconds=folder.commit))
            found.append(T.ExtendedProperty(T.ExtendedFieldURI(dict(uri.attrib)), T.Value(at)))
    if "folder:EffectiveRights" in uris:
        names = ("CreateAssociated", "CreateContents", "CreateHierarchy", "Delete", "Modify", "Read")
        may = {name: "true" if name == "Read" or not server.read_only else "false" for name in names}
        found.append(T.EffectiveRights(*(T(name, value) for name, value in may.items())))
    return found


def _get_folder(server: EwsServer, caller: Caller, request: Element) -> Iterator[Element]:
    holder = request.find(f"{{{MNS}}}FolderIds")
    for one in holder if holder is not None else ():
        wrapped = M.One()
        wrapped.append(etree.fromstring(etree.tostring(one)))
        try:
            folder = _folder(server, caller, wrapped)
            yield good("GetFolder", M.Folders(_folder_element(server, folder, request)))
        except Refusal as refusal:
            yield bad("GetFolder", refusal, M.Folders())


def _find_folder(server: EwsServer, caller: Caller, request: Element) -> Iterator[Element]:
    parent = _folder(server, caller, request)
    box = _box_of(server, parent)
    found, above = [], {parent.id}
    for one in box.folders.values():
        if one.parent in above:
            found.append(one)
            if request.get("Traversal") == "Deep":
                above.add(one.id)
    folders = T.Folders(*(_folder_element(server, one, request) for one in found))
    view = {"IncludesLastItemInRange": "true", "TotalItemsInView": str(len(found)), "IndexedPagingOffset": "0"}
    yield good("FindFolder", M.RootFolder(view, folders))


def _create_folder(server: EwsServer, caller: Caller, request: Element) -> Iterator[Element]:
    parent = _folder(server, caller, request.find(f"{{{MNS}}}ParentFolderId"))
    box = _box_of(server, parent)
    for one in request.find(f"{{{MNS}}}Folders"):
        name = one.findtext(f"{{{TNS}}}DisplayName") or ""
        if any(each.parent == parent.id and each.name.lower() == name.lower() for each in box.folders.values()):
            yield bad("CreateFolder", Refusal("ErrorFolderExists"), M.Folders())
            continue
        made = box.add_folder(name, parent=parent.id)
        yield good("CreateFolder", M.Folders(_folder_element(server, made, request)))


def _sync_hierarchy(server: EwsServer, caller: Caller, request: Element) -> Iterator[Element]:
    box = _box_of(server, _folder(server, caller, request))
    try:
        page = box.hierarchy(request.findtext(f"{{{MNS}}}SyncState") or "")
    except StateRefused:
        yield _no_state("SyncFolderHierarchy", "IncludesLastFolderInRange")
        return
    changes = M.Changes()
    for change in page.changes:
        inner = T.FolderId(Id=change.id) if change.kind == "Delete" else (
            _folder_element(server, box.folders[change.id], request))  # fmt: skip
        changes.append(T(change.kind, inner))
    yield good("SyncFolderHierarchy", M.SyncState(page.state), M.IncludesLastFolderInRange("true"), changes)


def _no_state(name: str, last: str) -> Element:
    refusal = Refusal("ErrorInvalidSyncStateData", "Synchronization state data is corrupt or otherwise invalid.")
    return bad(name, refusal, M.SyncState(""), M(last, "true"), M.Changes())


# -- reading


def _sync_items(server: EwsServer, caller: Caller, request: Element) -> Iterator[Element]:
    folder = _folder(server, caller, request.find(f"{{{MNS}}}SyncFolderId"))
    most = int(request.findtext(f"{{{MNS}}}MaxChangesReturned") or 0)
    if most > MOST_CHANGES:
        server.violations.append(f"{most} changes asked for at once")
    state = request.findtext(f"{{{MNS}}}SyncState") or ""
    box = _box_of(server, folder)
    try:
        page = box.sync(folder, state, most)
    except StateRefused:
        if not server.takes_any_state:
            yield _no_state("SyncFolderItems", "IncludesLastItemInRange")
            return
        page = box.sync(folder, "", most)
    shape = Shape(request.find(f"{{{MNS}}}ItemShape"))
    changes = M.Changes()
    repeated = server.repeated.pop(folder.id, []) if server.repeats_pages else []
    for change in [*repeated, *page.changes]:
        if change.kind == "Delete" or change.item is None:
            changes.append(T.Delete(T.ItemId(Id=change.id)))
        elif change.kind == "ReadFlagChange":
            flag = T.IsRead("true" if change.item.read else "false")
            changes.append(T.ReadFlagChange(T.ItemId(Id=change.id, ChangeKey=change.item.change_key), flag))
        else:
            changes.append(T(change.kind, _show(server, change.item, shape)))
    server.repeated[folder.id] = [one for one in page.changes if one.kind in ("Create", "Update")]
    last = "true" if page.last else "false"
    yield good("SyncFolderItems", M.SyncState(page.state), M.IncludesLastItemInRange(last), changes)


def _get_item(server: EwsServer, caller: Caller, request: Element) -> Iterator[Element]:
    shape, ids = Shape(request.find(f"{{{MNS}}}ItemShape")), _ids(request)
    if len(ids) > (MOST_BODIES if shape.mime or "item:Body" in shape.fields else 100):
        server.violations.append(f"{len(ids)} items asked for at once")

    def act(id: str, _key: str) -> list[Element]:
        box, item = _item(server, id)
        server.box_for(caller.login, box.address, beside=caller.mailbox, folder=box.folders[item.folder])
        if item.broken:
            raise Refusal("ErrorItemCorrupt", "The item is corrupt.")
        return [_show(server, item, shape)]

    yield from _each("GetItem", ids, act)


def _find_item(server: EwsServer, caller: Caller, request: Element) -> Iterator[Element]:
    for holder in request.find(f"{{{MNS}}}ParentFolderIds"):
        wrapped = M.One()
        wrapped.append(etree.fromstring(etree.tostring(holder)))
        try:
            yield _found_in(server, _folder(server, caller, wrapped), request)
        except Refusal as refusal:
            yield bad("FindItem", refusal)


def _viewed(server: EwsServer, folder: Folder, request: Element, view: Element) -> Element:
    """A CalendarView: no pages, no order, no conditions; more than a thousand entries at once are refused."""
    start, end = (datetime.fromisoformat(view.get(name)).astimezone(UTC) for name in ("StartDate", "EndDate"))
    most = int(view.get("MaxEntriesReturned", "0"))
    shape = Shape(request.find(f"{{{MNS}}}ItemShape"))
    if end - start > LONGEST_VIEW:
        raise Refusal("ErrorCalendarViewRangeTooBig", "The span of the view is more than two years.")
    if request.find(f"{{{MNS}}}Restriction") is not None or request.find(f"{{{MNS}}}SortOrder") is not None:
        raise Refusal("ErrorInvalidRequest", "A CalendarView takes no restriction and no order.")
    if shape.fields & NOT_FOUND_BY_FIND:
        raise Refusal("ErrorInvalidPropertyRequest", f"FindItem does not give {shape.fields & NOT_FOUND_BY_FIND}")
    if not 0 < most <= MOST_FOUND:
        server.violations.append(f"{most} entries of a calendar asked for at once")
    most = min(most, server.most_in_view)
    found = in_view(folder, start, end)
    if server.breaks_views and any(one.broken for one in found):
        raise Refusal("ErrorRecurrenceHasNoOccurrence", "The recurrence pattern has no occurrences.")
    last = "true" if len(found) <= most else "false"
    items = T.Items(*(_show(server, one, shape) for one in found[:most]))
    return good("FindItem", M.RootFolder({"TotalItemsInView": str(len(found)), "IncludesLastItemInRange": last}, items))


def _found_in(server: EwsServer, folder: Folder, request: Element) -> Element:
    calendar_view = request.find(f"{{{MNS}}}CalendarView")
    if calendar_view is not None:
        return _viewed(server, folder, request, calendar_view)
    view = request.find(f"{{{MNS}}}IndexedPageItemView")
    most, offset = int(view.get("MaxEntriesReturned", "0")), int(view.get("Offset", "0"))
    if most > MOST_FOUND:
        server.violations.append(f"{most} items to be found at once")
    restriction = request.find(f"{{{MNS}}}Restriction")
    found = [one for one in folder.items.values() if restriction is None or _fits(one, restriction[0])]
    order = request.find(f"{{{MNS}}}SortOrder/{{{TNS}}}FieldOrder")
    if order is not None:
        found.sort(key=lambda one: (one.received, one.id), reverse=order.get("Order") == "Descending")
    page, last = found[offset : offset + most], offset + most >= len(found)
    shape = Shape(request.find(f"{{{MNS}}}ItemShape"))
    if "item:Body" in shape.fields or shape.mime:
        raise Refusal("ErrorInvalidPropertyRequest", "FindItem returns no bodies")
    paging = {"TotalItemsInView": str(len(found)), "IncludesLastItemInRange": "true" if last else "false"}
    paging["IndexedPagingOffset"] = str(min(offset + most, len(found)))
    items = T.Items(*(_show(server, one, shape) for one in page))
    return good("FindItem", M.RootFolder(paging, items))


def _fits(item: Item, condition: Element) -> bool:
    name = local(condition)
    if name == "And":
        return all(_fits(item, one) for one in condition)
    if name == "Or":
        return any(_fits(item, one) for one in condition)
    if name == "Not":
        return not _fits(item, condition[0])
    if name == "Exists":
        return extended(item, ext_key(condition[0])) is not None
    wanted = condition.find(f"{{{TNS}}}FieldURIOrConstant/{{{TNS}}}Constant").get("Value", "")
    value = _value(item, condition[0])
    if "T" in wanted and wanted.endswith("Z") and isinstance(value, datetime):
        moment = datetime.fromisoformat(wanted)
        order = (value > moment) - (value < moment)
    else:
        order = (str(value) > wanted) - (str(value) < wanted)
    return {"IsEqualTo": order == 0, "IsLessThan": order < 0, "IsLessThanOrEqualTo": order <= 0,
            "IsGreaterThan": order > 0, "IsGreaterThanOrEqualTo": order >= 0}[name]  # fmt: skip


def _value(item: Item, path: Element) -> object:
    if local(path) == "ExtendedFieldURI":
        return extended(item, ext_key(path)) or ""
    if path.get("FieldURI", "").startswith(("calendar:", "task:")):
        raise Refusal("ErrorUnsupportedPathForQuery", f"{path.get('FieldURI')} cannot be searched for")
    name = path.get("FieldURI", "")
    return item.received if name == "item:DateTimeReceived" else _header(item.raw, _SEARCHED[name])


_SEARCHED = {"message:InternetMessageId": "Message-ID", "item:InReplyTo": "In-Reply-To", "item:Subject": "Subject"}


@lru_cache(maxsize=10_000)
def _header(raw: bytes, name: str) -> str:
    """Kept, for each search looks at every mail of a folder."""
    try:
        return str(message_from_bytes(raw, policy=policy.default).get(name, "") or "").strip()
    except (LookupError, ValueError, IndexError, AttributeError):
        return ""


# -- writing


def _create_item(server: EwsServer, caller: Caller, request: Element) -> Iterator[Element]:
    folder = _folder(server, caller, request.find(f"{{{MNS}}}SavedItemFolderId"))
    box = _box_of(server, folder)
    if request.get("MessageDisposition") != "SaveOnly":
        server.violations.append("CreateItem may only save: what it sends cannot be found again")
    for one in request.find(f"{{{MNS}}}Items"):
        try:
            server.require_room(box)
            yield good("CreateItem", M.Items(_shown_id(_create(server, box, folder, one, request))))
        except Refusal as refusal:
            yield bad("CreateItem", refusal, M.Items())


def _create(server: EwsServer, box: Mailbox, folder: Folder, element: Element, request: Element) -> Item:
    if local(element) == "ReplyToItem":
        return _reply(server, box, folder, element)
    if local(element) not in ("CalendarItem", "Task"):
        return _made(box, folder, element)
    if local(element) == "CalendarItem" and request.get("SendMeetingInvitations") is None:
        raise Refusal("ErrorSendMeetingInvitationsRequired", "SendMeetingInvitations is missing.")
    item = make_entry(box, folder, element)
    would_send(server, item, request, "SendMeetingInvitations")
    return item


def _made(box: Mailbox, folder: Folder, element: Element) -> Item:
    raw = base64.b64decode(element.findtext(f"{{{TNS}}}MimeContent") or "")
    item = box.add(raw, folder, received=datetime.now(UTC), transport=False, draft=True, read=True)
    _set_properties(item, element)
    return item


def _set_properties(item: Item, holder: Element) -> None:
    for one in holder:
        name = local(one)
        if name == "ExtendedProperty":
            _set_extended(item, ext_key(one[0]), one.findtext(f"{{{TNS}}}Value") or "")
        elif name == "Categories":
            item.categories = [each.text or "" for each in one]
        elif name == "IsRead":
            item.read = one.text == "true"
        elif name == "Flag":
            item.extended[FLAG_STATUS] = "2" if one.findtext(f"{{{TNS}}}FlagStatus") == "Flagged" else "0"
            due = one.findtext(f"{{{TNS}}}DueDate")
            item.due = datetime.fromisoformat(due) if due else None


def _set_extended(item: Item, key: tuple[str, str], value: str) -> None:
    if key == MESSAGE_FLAGS:
        item.read, item.draft = bool(int(value) & 1), bool(int(value) & 8)
    elif key == DELIVERED:
        item.received = datetime.fromisoformat(value)
    else:
        item.extended[key] = value


def _reply(server: EwsServer, box: Mailbox, folder: Folder, element: Element) -> Item:
    """A reply as the server writes it: its own Message-ID, the thread of the mail it answers, the old text below."""
    _, original = _item(server, element.find(f"{{{TNS}}}ReferenceItemId").get("Id", ""))
    mail = EmailMessage()
    mail["Message-ID"] = f"<{uuid.uuid4()}@exchange.example>"
    mail["From"] = box.address
    people = {"To": "ToRecipients", "Cc": "CcRecipients"}
    for header, tag in people.items():
        given = [one.text for one in element.findall(f"{{{TNS}}}{tag}/{{{TNS}}}Mailbox/{{{TNS}}}EmailAddress")]
        if given or header == "To":
            mail[header] = ", ".join(filter(None, given)) or original.text("From")
    mail["Subject"] = element.findtext(f"{{{TNS}}}Subject") or f"RE: {original.text('Subject')}"
    mail["In-Reply-To"] = original.text("Message-ID")
    mail["References"] = f"{original.text('References')} {original.text('Message-ID')}".strip()
    new = element.find(f"{{{TNS}}}NewBodyContent")
    kind, old = body_of(original)
    if new is not None and new.get("BodyType") == "HTML":
        mail.set_content(f"{new.text or ''}<hr>{old}", subtype="html")
    else:
        mail.set_content(f"{new.text if new is not None else ''}\n\n-----Original Message-----\n{as_text(kind, old)}")
    return box.add(mail.as_bytes(), folder, received=datetime.now(UTC), transport=False, draft=True, read=True)


def _update_item(server: EwsServer, caller: Caller, request: Element) -> Iterator[Element]:
    for change in request.find(f"{{{MNS}}}ItemChanges"):
        id = change.find(f"{{{TNS}}}ItemId")
        try:
            box, item = _item(server, id.get("Id", ""))
            key = id.get("ChangeKey", "")
            if request.get("ConflictResolution") != "AlwaysOverwrite" and key and key != item.change_key:
                raise Refusal("ErrorIrresolvableConflict", "The send or update operation could not be performed")
            sending = "SendMeetingInvitationsOrCancellations"
            if isinstance(item, Appointment) and request.get(sending) is None:
                raise Refusal(f"Error{sending}Required", f"{sending} is missing.")
            if isinstance(item, Appointment | Todo):
                would_send(server, item, request, sending)  # as it was, too
            for update in change.find(f"{{{TNS}}}Updates"):
                _update(item, update)
            box.touch(item)
            if isinstance(item, Appointment | Todo):
                would_send(server, item, request, sending)
            yield good("UpdateItem", M.Items(_shown_id(item)), M.ConflictResults(T.Count("0")))
        except Refusal as refusal:
            yield bad("UpdateItem", refusal, M.Items())


def _update(item: Item, update: Element) -> None:
    path = update[0]
    if local(update) == "DeleteItemField":
        if isinstance(item, Appointment | Todo):
            clear_field(item, path.get("FieldURI", ""))
        elif local(path) == "ExtendedFieldURI":
            item.extended.pop(ext_key(path), None)
        elif path.get("FieldURI") == "item:Categories":
            item.categories = []
        return
    if isinstance(item, Appointment | Todo):
        set_fields(item, update[1])
    else:
        _set_properties(item, update[1])


def _send_item(server: EwsServer, caller: Caller, request: Element) -> Iterator[Element]:
    if request.get("SaveItemToFolder") != "true":
        server.violations.append("SendItem without a copy in Sent")
    for id, key in _ids(request):
        try:
            if server.send_refusal:
                raise Refusal(server.send_refusal)
            box, item = _item(server, id)
            if not item.draft:
                raise Refusal("ErrorItemNotFound")
            if key != item.change_key:
                raise Refusal("ErrorStaleObject" if key else "ErrorChangeKeyRequired")
            server.send(box, item)
            yield good("SendItem")
        except Refusal as refusal:
            yield bad("SendItem", refusal)


def _move_item(server: EwsServer, caller: Caller, request: Element) -> Iterator[Element]:
    to = _folder(server, caller, request.find(f"{{{MNS}}}ToFolderId"))

    def act(id: str, _key: str) -> list[Element]:
        box, item = _item(server, id)
        moved = box.move(item, to)
        return [T.Message(T.ItemId(Id=moved.id, ChangeKey=moved.change_key))]

    yield from _each("MoveItem", _ids(request), act)


def _delete_item(server: EwsServer, caller: Caller, request: Element) -> Iterator[Element]:
    for id, _ in _ids(request):
        try:
            box, item = _item(server, id)
            _require_said(server, item, request)
            if request.get("DeleteType") == "MoveToDeletedItems":
                box.move(item, box.folder("deleteditems"))
            else:
                box.remove(item)
            yield good("DeleteItem")
        except Refusal as refusal:
            yield bad("DeleteItem", refusal)


def _require_said(server: EwsServer, item: Item, request: Element) -> None:
    """What has to be said when a meeting or a task is deleted."""
    if isinstance(item, Todo) and request.get("AffectedTaskOccurrences") is None:
        raise Refusal("ErrorAffectedTaskOccurrencesRequired", "AffectedTaskOccurrences is missing.")
    if isinstance(item, Appointment) and request.get("SendMeetingCancellations") is None:
        raise Refusal("ErrorSendMeetingCancellationsRequired", "SendMeetingCancellations is missing.")
    if isinstance(item, Appointment):
        would_send(server, item, request, "SendMeetingCancellations")


def _create_attachment(server: EwsServer, caller: Caller, request: Element) -> Iterator[Element]:
    parent = request.find(f"{{{MNS}}}ParentItemId")
    box, item = _item(server, parent.get("Id", ""))
    for one in request.find(f"{{{MNS}}}Attachments"):
        mail = item.mail
        kind, _, sub = (one.findtext(f"{{{TNS}}}ContentType") or "application/octet-stream").partition("/")
        content = base64.b64decode(one.findtext(f"{{{TNS}}}Content") or "")
        mail.add_attachment(content, maintype=kind, subtype=sub, filename=one.findtext(f"{{{TNS}}}Name"))
        item.rewrite(mail.as_bytes())
        box.touch(item)
        made = T.AttachmentId(Id=uuid.uuid4().hex, RootItemId=item.id, RootItemChangeKey=item.change_key)
        yield good("CreateAttachment", M.Attachments(T.FileAttachment(made)))


# -- the rest


def _get_configuration(server: EwsServer, caller: Caller, request: Element) -> Iterator[Element]:
    box = _box_of(server, _folder(server, caller, request))
    if box.category_list is None:
        yield bad("GetUserConfiguration", Refusal("ErrorItemNotFound"))
        return
    name = T.UserConfigurationName(T.DistinguishedFolderId(Id="calendar"), Name="CategoryList")
    data = base64.b64encode(box.category_list).decode()
    yield good("GetUserConfiguration", M.UserConfiguration(name, T.XmlData(data)))


def _put_configuration(server: EwsServer, caller: Caller, request: Element) -> Iterator[Element]:
    box = _box_of(server, _folder(server, caller, request))
    box.category_list = base64.b64decode(next(request.iter(f"{{{TNS}}}XmlData")).text or "")
    yield good(local(request))


def _convert_id(server: EwsServer, caller: Caller, request: Element) -> Iterator[Element]:
    for _ in request.iter(f"{{{TNS}}}AlternateId"):
        yield bad("ConvertId", Refusal("ErrorInvalidIdMalformed"))


def _subscribe(server: EwsServer, caller: Caller, request: Element) -> Iterator[Element]:
    yield good("Subscribe", M.SubscriptionId(server.subscribe(caller.mailbox)))


def _unsubscribe(server: EwsServer, caller: Caller, request: Element) -> Iterator[Element]:
    known = server.subscriptions.pop(request.findtext(f"{{{MNS}}}SubscriptionId") or "", None)
    yield good("Unsubscribe") if known else bad("Unsubscribe", Refusal("ErrorSubscriptionNotFound"))


_OPERATIONS: dict[str, Callable[[EwsServer, Caller, Element], Iterator[Element]]] = {
    "ConvertId": _convert_id,
    "CreateAttachment": _create_attachment,
    "CreateFolder": _create_folder,
    "CreateItem": _create_item,
    "CreateUserConfiguration": _put_configuration,
    "DeleteItem": _delete_item,
    "FindFolder": _find_folder,
    "FindItem": _find_item,
    "GetFolder": _get_folder,
    "GetItem": _get_item,
    "GetUserConfiguration": _get_configuration,
    "MoveItem": _move_item,
    "SendItem": _send_item,
    "Subscribe": _subscribe,
    "SyncFolderHierarchy": _sync_hierarchy,
    "SyncFolderItems": _sync_items,
    "Unsubscribe": _unsubscribe,
    "UpdateItem": _update_item,
    "UpdateUserConfiguration": _put_configuration,
}
