"""Lays reminders into a mailbox's own calendar and task list, and looks after them there.

Nobody can be invited: an item has no attendees, and each request says besides that nothing is to be sent
(SendMeetingInvitations and its like, SendToNone). Written only at the change key that was looked at; deleted only what
is ours.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from exchangelib.winzone import CLDR_TO_MS_TIMEZONE_MAP

from connectors.calendar_objects import Folder
from connectors.calendar_shelf import gone, require_own
from connectors.calendars import ItemKind, OwnItem, PlacedItem
from connectors.exchange.calendars import items
from connectors.exchange.calendars.folders import CalendarFolders
from connectors.exchange.calendars.settings import ExchangeCalendarSettings
from connectors.exchange.finding import equals
from connectors.exchange.getting import GONE
from connectors.exchange.link import Answer, Link
from connectors.exchange.trouble import CONFLICTS, refusal
from connectors.exchange.words import M, T, child, folder_ids, item_id, item_ids, item_shape, named
from connectors.ical.zones import UTC_ZONE, find_zone

__all__ = ["ExchangeCalendarDesk"]

_MOST_COPIES = 10


class ExchangeCalendarDesk:
    """A `CalendarDesk` in one mailbox. One thread at a time."""

    def __init__(self, settings: ExchangeCalendarSettings, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._link = Link(settings.login)
        self._folders = CalendarFolders(settings, self._link, monotonic=monotonic)
        self._zone = find_zone(settings.zone) or UTC_ZONE
        self._windows_zone = CLDR_TO_MS_TIMEZONE_MAP.get(self._zone.name, ("UTC", ""))[0]

    def check(self) -> tuple[str, ...]:
        """Log in and say where items go, and what is in the way."""
        self._folders.forget()
        finding = f"reminders go to the calendar {self._folders.home(ItemKind.EVENT).name}"
        tasks = self._folders.every(ItemKind.TASK)
        findings = [finding, f"tasks go to {self._folders.home(ItemKind.TASK).name}" if tasks else "no tasks open here"]
        missing = self._folders.missing_rights(ItemKind.EVENT)
        if missing:
            findings.append(f"this login may only read the calendar ({', '.join(missing)} is missing): no reminders")
        return tuple(findings)

    def put(self, item: OwnItem, *, revision: str = "") -> PlacedItem:
        """Lay the item there, or change the one at `revision`."""
        require_own(item.uid)
        lies = self._lies(item.uid, item.kind)
        if lies is None and not revision:
            self._create(item)
            return self._lies(item.uid, item.kind) or gone(item)
        if lies is None:
            return gone(item)
        if not lies.ours or lies.revision != revision:
            return replace(lies, written=False)
        written = self._update(item, lies)
        found = self._lies(item.uid, item.kind)
        return replace(found, written=written) if found else gone(item)

    def find(self, uid: str, kind: ItemKind) -> PlacedItem | None:
        """The item as it lies there now, wherever its owner moved it."""
        require_own(uid)
        return self._lies(uid, kind)

    def remove(self, placed: PlacedItem) -> bool:
        """Remove it if it is still ours and as it was looked at."""
        require_own(placed.uid)
        lies = self._lies(placed.uid, placed.kind)
        if lies is None:
            return True
        if not lies.ours or lies.revision != placed.revision:
            return False
        self._delete(lies)
        return True

    def close(self) -> None:
        """Let go of the connection."""
        self._link.drop()
        self._folders.forget()

    def _lies(self, uid: str, kind: ItemKind) -> PlacedItem | None:
        """By our stamp, in all folders for items of its kind. Of several, as a request that was carried out twice and a
        copy made by hand leave them, the one that is ours, the first."""
        found = self._stamped(uid, kind)
        answers = self._link.ask(M.GetItem(items.placed_shape(kind), item_ids(found))) if found else []
        placed = [self._placed(uid, kind, ref, found[ref], one) for ref, one in zip(found, answers, strict=False)]
        return min(filter(None, placed), key=lambda one: (not one.ours, one.ref), default=None)

    def _placed(self, uid: str, kind: ItemKind, ref: str, folder: Folder, answer: Answer) -> PlacedItem | None:
        """What the server will not show is not ours to touch."""
        if answer.code in GONE:
            return None
        if not answer.is_good:
            return PlacedItem(calendar=folder.name, ref=ref, revision="", uid=uid, kind=kind, ours=False)
        return items.placed(uid, kind, folder, next(iter(answer.within("Items"))), self._zone)

    def _stamped(self, uid: str, kind: ItemKind) -> dict[str, Folder]:
        """What carries our stamp, by id."""
        folders = self._folders.every(kind)
        view = M.IndexedPageItemView(MaxEntriesReturned=str(_MOST_COPIES), Offset="0", BasePoint="Beginning")
        wanted = M.Restriction(equals(named(items.STAMP), uid))
        keys = folder_ids("ParentFolderIds", [one.key for one in folders])
        answers = self._link.ask(M.FindItem(item_shape(), view, wanted, keys, Traversal="Shallow")) if folders else []
        found: dict[str, Folder] = {}
        for folder, answer in zip(folders, answers, strict=False):
            if not answer.is_good and answer.code not in GONE:
                raise refusal(self._link.settings, answer.code, answer.words)
            listed = child(answer.within("RootFolder"), "Items")
            ids = (child(one, "ItemId") for one in (listed if listed is not None else ()))
            found |= {str(id.get("Id")): folder for id in ids if id is not None}
        return found

    def _create(self, item: OwnItem) -> None:
        home = self._folders.home(item.kind)
        made = M.Items(items.creation(item, self._zone, self._windows_zone))
        request = M.CreateItem(
            folder_ids("SavedItemFolderId", [home.key]),
            made,
            MessageDisposition="SaveOnly",
            SendMeetingInvitations="SendToNone",
        )
        (answer,) = self._link.ask(request, repeatable=False)
        if not answer.is_good:
            raise refusal(self._link.settings, answer.code, answer.words)

    def _update(self, item: OwnItem, lies: PlacedItem) -> bool:
        """False if somebody was quicker."""
        change = T.ItemChange(item_id(lies.ref, lies.revision), items.changes(item, self._zone, self._windows_zone))
        request = M.UpdateItem(
            M.ItemChanges(change),
            ConflictResolution="NeverOverwrite",
            MessageDisposition="SaveOnly",
            SendMeetingInvitationsOrCancellations="SendToNone",
            SuppressReadReceipts="true",
        )
        (answer,) = self._link.ask(request)
        if answer.code in CONFLICTS or answer.code in GONE:
            return False
        if not answer.is_good:
            raise refusal(self._link.settings, answer.code, answer.words)
        return True

    def _delete(self, lies: PlacedItem) -> None:
        request = M.DeleteItem(
            M.ItemIds(item_id(lies.ref, lies.revision)),
            DeleteType="SoftDelete",
            SendMeetingCancellations="SendToNone",
            AffectedTaskOccurrences="AllOccurrences",
            SuppressReadReceipts="true",
        )
        (answer,) = self._link.ask(request)
        if not answer.is_good and answer.code not in GONE:
            raise refusal(self._link.settings, answer.code, answer.words)
