"""The mailboxes behind the EWS server: folders, items, what changed since when. Knows nothing of XML or HTTP."""

from __future__ import annotations

import base64
import email
import email.policy
import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import EmailMessage
from functools import cached_property
from typing import Any

START = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)

DISTINGUISHED = {
    "msgfolderroot": "Top of Information Store",
    "inbox": "Inbox",
    "sentitems": "Sent Items",
    "drafts": "Drafts",
    "deleteditems": "Deleted Items",
    "junkemail": "Junk Email",
    "outbox": "Outbox",
    "calendar": "Calendar",
    "contacts": "Contacts",
    "tasks": "Tasks",
}
CLASSES = {"calendar": "IPF.Appointment", "contacts": "IPF.Contact", "tasks": "IPF.Task"}

ExtKey = tuple[str, str]
"""("0x1090", "Integer"), or ("GUID/Name", "String") for a named one."""


@dataclass
class Attached:
    """A file that CreateAttachment hung on an item."""

    name: str
    content_type: str
    content: bytes


@dataclass
class Item:
    """One mail. `transport`: it came by the network and keeps the header it came with."""

    id: str
    folder: str
    raw: bytes
    received: datetime
    item_class: str = "IPM.Note"
    transport: bool = True
    read: bool = False
    draft: bool = False
    submitted: bool = False
    """The transport has it and has not sent it yet."""
    edited: datetime | None = None
    """When a person worked on it."""
    categories: list[str] = field(default_factory=list)
    extended: dict[ExtKey, str] = field(default_factory=dict)
    due: datetime | None = None
    broken: bool = False
    created_at: int = 0
    changed_at: int = 0
    read_at: int = 0
    lineage: int = 0

    @property
    def change_key(self) -> str:
        return base64.b64encode(b"CQAAABYAAAA%012d" % max(self.created_at, self.changed_at, self.read_at)).decode()

    @property
    def last_at(self) -> int:
        return max(self.created_at, self.changed_at, self.read_at)

    @cached_property
    def mail(self) -> EmailMessage:
        return email.message_from_bytes(self.raw, policy=email.policy.default)

    @property
    def header(self) -> str:
        head = self.raw.replace(b"\r\n", b"\n").partition(b"\n\n")[0] + b"\n\n"
        return head.decode("utf-8", "replace").replace("\n", "\r\n")

    def text(self, name: str) -> str:
        """A header as text, "" if there is none or it is beyond reading."""
        try:
            return str(self.mail.get(name, "") or "")
        except (ValueError, IndexError, AttributeError, TypeError, LookupError):
            return ""

    def rewrite(self, raw: bytes) -> None:
        self.raw = raw
        self.__dict__.pop("mail", None)


@dataclass
class Folder:
    """One folder. `gone` = (item id, serial of its creation here, serial of its going)."""

    id: str
    parent: str
    name: str
    folder_class: str = "IPF.Note"
    distinguished: str = ""
    created_at: int = 0
    changed_at: int = 0
    commit: int = 0
    epoch: int = 1
    items: dict[str, Item] = field(default_factory=dict)
    gone: list[tuple[str, int, int]] = field(default_factory=list)


@dataclass(frozen=True)
class Change:
    """One line of SyncFolderItems."""

    kind: str
    id: str
    item: Item | None = None


@dataclass(frozen=True)
class Page:
    """One answer of SyncFolderItems or SyncFolderHierarchy."""

    changes: list[Change]
    state: str
    last: bool


class StateRefused(Exception):
    """A sync state that means nothing to this server."""


class Mailbox:
    """One person's mailbox. Every change gets a serial number; sync states name one."""

    def __init__(self, address: str, number: int = 1) -> None:
        self.address = address
        self._number = number
        self.serial = 0
        self._ids = itertools.count(1)
        self.folders: dict[str, Folder] = {}
        self.gone_folders: list[tuple[str, int]] = []
        self.category_list: bytes | None = None
        self.notify: Callable[[str, Item], None] = lambda _event, _item: None
        self.deletes_at_once = 0
        for name, title in DISTINGUISHED.items():
            parent = self.root.id if name != "msgfolderroot" else ""
            self.add_folder(title, parent=parent, distinguished=name)

    @property
    def root(self) -> Folder:
        return next(iter(self.folders.values()))

    def _id(self, kind: bytes) -> str:
        """Like Exchange's: long, base64, and two of them may differ in case alone."""
        return base64.b64encode(b"AAMk%03d" % self._number + kind * 60 + b"%09d" % next(self._ids)).decode()

    def tick(self) -> int:
        self.serial += 1
        return self.serial

    # -- folders

    def add_folder(self, name: str, *, parent: str = "", distinguished: str = "", folder_class: str = "") -> Folder:
        serial = self.tick()
        folder = Folder(
            id=self._id(b"F"),
            parent=parent,
            name=name,
            folder_class=folder_class or CLASSES.get(distinguished, "IPF.Note"),
            distinguished=distinguished,
            created_at=serial,
            changed_at=serial,
        )
        self.folders[folder.id] = folder
        return folder

    def remove_folder(self, folder: Folder) -> None:
        del self.folders[folder.id]
        self.gone_folders.append((folder.id, self.tick()))

    def folder(self, name: str) -> Folder:
        """By distinguished name, id, or display name. The root of all, above mail, is not told apart."""
        name = "msgfolderroot" if name == "root" else name
        for one in self.folders.values():
            if name in (one.distinguished, one.id, one.name):
                return one
        raise KeyError(name)

    def folder_path(self, path: str) -> Folder:
        """A folder by its path of display names, made if need be."""
        folder = self.root
        for name in path.split("/"):
            found = [one for one in self.folders.values() if one.parent == folder.id and one.name == name]
            folder = found[0] if found else self.add_folder(name, parent=folder.id)
        return folder

    def hierarchy(self, state: str) -> Page:
        """What changed among the folders below the root."""
        since = _read_state(state, "hierarchy", 0)["s"] if state else 0
        changes = [
            Change("Create" if one.created_at > since else "Update", one.id)
            for one in self.folders.values()
            if one.changed_at > since and one is not self.root
        ]
        changes += [Change("Delete", gone) for gone, at in self.gone_folders if at > since and state]
        return Page(changes, _write_state("hierarchy", 0, s=self.serial), True)

    # -- items

    def add(self, raw: bytes, folder: Folder, *, received: datetime = START, **fields: object) -> Item:
        item = Item(id=self.new_id(), folder=folder.id, raw=raw, received=received, **fields)  # type: ignore[arg-type]
        self.lay(item, folder)
        return item

    def new_id(self) -> str:
        return self._id(b"I")

    def lay(self, item: Item, folder: Folder) -> None:
        """An item that is new here."""
        item.folder = folder.id
        item.lineage = item.created_at = folder.commit = self.tick()
        folder.items[item.id] = item
        self.notify("NewMailEvent" if folder.distinguished == "inbox" else "CreatedEvent", item)

    def touch(self, item: Item, *, read_only: bool = False) -> None:
        serial = self.tick()
        if read_only:
            item.read_at = serial
        else:
            item.changed_at = serial
        self.folders[item.folder].commit = serial

    def find(self, id: str) -> Item | None:
        return next((one.items[id] for one in self.folders.values() if id in one.items), None)

    def remove(self, item: Item) -> None:
        folder = self.folders[item.folder]
        del folder.items[item.id]
        folder.commit = self.tick()
        folder.gone.append((item.id, item.created_at, folder.commit))

    def move(self, item: Item, to: Folder) -> Item:
        """A move gives a new id (2.6 of the protocol notes), whatever else stays."""
        self.remove(item)
        item.id, item.folder = self._id(b"I"), to.id
        item.created_at = to.commit = self.tick()
        item.changed_at = item.read_at = 0
        to.items[item.id] = item
        self.notify("CreatedEvent", item)
        return item

    def items(self) -> Iterator[Item]:
        for folder in self.folders.values():
            yield from folder.items.values()

    def sync(self, folder: Folder, state: str, limit: int) -> Page:
        """Everything there, newest first; then what changed. Raises StateRefused."""
        where: dict[str, Any] = (
            _read_state(state, folder.id, folder.epoch) if state else {"s": self.serial, "low": ["9999", ""]}
        )
        since = int(where["s"])
        if (low := where.get("low")) is not None:
            there = sorted(
                (one for one in folder.items.values() if one.created_at <= since and _age(one) < low),
                key=_age,
                reverse=True,
            )
            page, rest = there[:limit], there[limit:]
            low = _age(page[-1]) if rest else None
            changes = [Change("Create", one.id, one) for one in page]
            return Page(changes, _write_state(folder.id, folder.epoch, s=since, low=low), not rest)
        return self._changed(folder, since, limit)

    def _changed(self, folder: Folder, since: int, limit: int) -> Page:
        news: list[tuple[int, Change]] = []
        for one in folder.items.values():
            if one.last_at > since:
                kind = "Create" if one.created_at > since else "Update" if one.changed_at > since else "ReadFlagChange"
                news.append((one.last_at, Change(kind, one.id, one)))
        news += [(at, Change("Delete", id)) for id, made, at in folder.gone if made <= since < at]
        news.sort(key=lambda pair: pair[0])
        page, last = news[:limit], len(news) <= limit
        deletes = [index for index, (_, change) in enumerate(page) if change.kind == "Delete"]
        if self.deletes_at_once and len(deletes) > self.deletes_at_once:  # and yet it says that this is all
            page, last = page[: deletes[self.deletes_at_once]], True
        serial = page[-1][0] if page else since
        return Page([change for _, change in page], _write_state(folder.id, folder.epoch, s=serial), last)


def _age(item: Item) -> list[str]:
    return [item.received.isoformat(), item.id]


def _write_state(folder: str, epoch: int, **where: object) -> str:
    plain = json.dumps({"f": folder, "e": epoch, **where})
    return base64.b64encode(plain.encode()).decode()


def _read_state(state: str, folder: str, epoch: int) -> dict[str, Any]:
    try:
        where = json.loads(base64.b64decode(state, validate=True))
        if where["f"] != folder or where["e"] != epoch:
            raise StateRefused
    except (ValueError, KeyError, TypeError) as error:
        raise StateRefused from error
    return dict(where)
