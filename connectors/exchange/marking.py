"""Marks on a rep's mail: categories (with an entry in the mailbox's list), the flag with its day, the folder."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from lxml import etree

from connectors.errors import ConnectorError, Unavailable
from connectors.exchange.answering import find_original
from connectors.exchange.folders import Directory, distinguished
from connectors.exchange.link import Link
from connectors.exchange.trouble import CONFLICTS, LATER, refusal
from connectors.exchange.words import (
    Element,
    M,
    T,
    child,
    field,
    folder_ids,
    item_id,
    item_ids,
    item_shape,
    moment,
    noon,
    text,
)
from connectors.folders import Folder
from connectors.model import Marked, Marks

__all__ = ["mark_item"]

_TRIES = 5
_CATEGORIES = "CategoryList.xsd"
_PLAIN_COLOUR = "-1"


@dataclass(frozen=True, slots=True)
class _Seen:
    """An item as it is marked now."""

    ref: str
    change_key: str
    folder: str
    message_id: str
    categories: tuple[str, ...]
    due: date | None
    flagged: bool


def mark_item(link: Link, directory: Directory, folder: str, ref: str, message_id: str, marks: Marks) -> Marked:
    """See `connectors.protocols.Marker`. Somebody else's change at the same moment is read and kept."""
    folders = directory.refresh()
    for _ in range(_TRIES):
        seen = _locate(link, folders, folder, ref, message_id)
        if seen is None:
            return Marked()
        changes = _changes(seen, marks)
        if not changes or _update(link, seen, changes):
            break
    else:
        raise Unavailable(link.settings.account, "the mail is changed all the time", hint=LATER)
    if marks.add:
        _list_categories(link, marks.add)
    names = {one.key: one.name for one in folders}
    if marks.move:
        target = directory.make(marks.move)
        if target.key != seen.folder:
            return Marked(folder=target.name, ref=_move(link, seen, target))
        names[target.key] = target.name
    return Marked(folder=names.get(seen.folder, folder), ref=seen.ref)


def _locate(link: Link, folders: Sequence[Folder], folder: str, ref: str, message_id: str) -> _Seen | None:
    """The item at its place, else by its Message-ID anywhere in the mailbox but in the trash."""
    key = next((one.key for one in folders if one.name == folder), "")
    seen = _look(link, ref) if key else None
    if seen and seen.folder == key and (not message_id or seen.message_id == message_id):
        return seen
    found = find_original(link, folders, message_id) if message_id else None
    return _look(link, found[0]) if found else None


def _look(link: Link, ref: str) -> _Seen | None:
    wanted = ("item:ParentFolderId", "item:Categories", "item:Flag", "message:InternetMessageId")
    (answer,) = link.ask(M.GetItem(item_shape(*map(field, wanted)), item_ids([ref])))
    element = next(iter(answer.within("Items")), None)
    if not answer.is_good or element is None:
        return None
    id, parent, names = child(element, "ItemId"), child(element, "ParentFolderId"), child(element, "Categories")
    if id is None or parent is None:
        return None
    due = moment(text(element, "Flag", "DueDate"))
    return _Seen(
        ref=str(id.get("Id")),
        change_key=str(id.get("ChangeKey", "")),
        folder=str(parent.get("Id")),
        message_id=text(element, "InternetMessageId").strip().strip("<>").strip(),
        categories=tuple(one.text for one in names if one.text) if names is not None else (),
        due=due.date() if due else None,
        flagged=text(element, "Flag", "FlagStatus") == "Flagged",
    )


def _changes(seen: _Seen, marks: Marks) -> list[Element]:
    """What has to be changed, nothing that is so already."""
    changes = []
    gone = {name.casefold() for name in marks.remove}
    kept = [name for name in seen.categories if name.casefold() not in gone]
    known = {name.casefold() for name in kept}
    wanted = [*kept, *(name for name in marks.add if name.casefold() not in known)]
    if wanted != list(seen.categories):
        path = field("item:Categories")
        value = T.Message(T.Categories(*(T.String(name) for name in wanted)))
        changes.append(T.SetItemField(path, value) if wanted else T.DeleteItemField(path))
    if marks.flag and (not seen.flagged or seen.due != marks.flag):
        day = noon(marks.flag)
        flag = T.Flag(T.FlagStatus("Flagged"), T.StartDate(day), T.DueDate(day))
        changes.append(T.SetItemField(field("item:Flag"), T.Message(flag)))
    elif marks.unflag and seen.flagged:
        changes.append(T.SetItemField(field("item:Flag"), T.Message(T.Flag(T.FlagStatus("NotFlagged")))))
    return changes


def _update(link: Link, seen: _Seen, changes: list[Element]) -> bool:
    """False if somebody changed the item since it was looked at."""
    request = M.UpdateItem(
        M.ItemChanges(T.ItemChange(item_id(seen.ref, seen.change_key), T.Updates(*changes))),
        ConflictResolution="NeverOverwrite",
        MessageDisposition="SaveOnly",
        SuppressReadReceipts="true",
    )
    (answer,) = link.ask(request)
    if answer.code in CONFLICTS:
        return False
    if not answer.is_good:
        raise refusal(link.settings, answer.code, answer.words)
    return True


def _move(link: Link, seen: _Seen, target: Folder) -> str:
    """Into another folder, where the item has another id."""
    request = M.MoveItem(folder_ids("ToFolderId", [target.key]), item_ids([seen.ref]), M.ReturnNewItemIds("true"))
    (answer,) = link.ask(request, repeatable=False)
    element = next(iter(answer.within("Items")), None)
    id = child(element, "ItemId") if element is not None else None
    if not answer.is_good or id is None:
        raise refusal(link.settings, answer.code, answer.words)
    return str(id.get("Id"))


# -- the mailbox's own list of categories (MS-OXOCFG 2.2.5.2)


def _list_categories(link: Link, names: Sequence[str]) -> None:
    """Have Outlook know these categories, without a colour. The mark is on the mail in any case: a list that cannot be
    read or written is let be."""
    name = M.UserConfigurationName(distinguished(link, "calendar"), Name="CategoryList")
    try:
        (answer,) = link.ask(M.GetUserConfiguration(name, M.UserConfigurationProperties("XmlData")))
        data = text(answer.within("UserConfiguration"), "XmlData")
        if not answer.is_good or not data:
            return
        written = with_categories(base64.b64decode(data), names)
        if written is not None:
            inner = T.UserConfigurationName(distinguished(link, "calendar"), Name="CategoryList")
            content = T.XmlData(base64.b64encode(written).decode("ascii"))
            link.ask(M.UpdateUserConfiguration(M.UserConfiguration(inner, content)))
    except (ConnectorError, ValueError, etree.XMLSyntaxError):
        return


def with_categories(data: bytes, names: Sequence[str]) -> bytes | None:
    """The list with these names; None if it has them all. Raises XMLSyntaxError for what is no list."""
    root = etree.fromstring(data, etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False))
    space = etree.QName(root).namespace or _CATEGORIES
    known = {(one.get("name") or "").casefold() for one in root}
    missing = [name for name in names if name.casefold() not in known]
    for name in missing:
        etree.SubElement(root, f"{{{space}}}category", name=name, color=_PLAIN_COLOUR, keyboardShortcut="0")
    return etree.tostring(root, xml_declaration=True, encoding="utf-8") if missing else None
