"""SyncFolderItems, one page a call, ids only: what is asked for beyond them costs the server a look at each item."""

from __future__ import annotations

from dataclasses import dataclass, field

from connectors.exchange.link import Link
from connectors.exchange.trouble import refusal
from connectors.exchange.words import Element, M, child, folder_ids, item_shape, moment, text
from connectors.exchange.words import field as path

__all__ = ["MOST_CHANGES", "Page", "sync_page"]

MOST_CHANGES = 512
"""The schema's limit (MaxSyncChangesReturnedType)."""
_MANY_DELETES = 100
_LOST_STATE = frozenset({"ErrorInvalidSyncStateData", "ErrorSyncFolderNotFound", "ErrorInvalidIdMalformed"})


@dataclass(slots=True)
class Page:
    """One answer. `versions` are the change keys of what is there; `newest` is the latest arrival, seconds since 1970,
    where arrivals were asked for."""

    state: str
    is_last: bool
    created: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)
    is_empty: bool = True
    newest: int = 0


def sync_page(link: Link, folder: str, state: str, limit: int, *, arrivals: bool = False) -> Page | None:
    """The next changes of a folder after a state ("" = everything there). None if the server knows the state no more.

    Raises ConnectorError.
    """
    shape = item_shape(path("item:DateTimeReceived")) if arrivals else item_shape()
    request = M.SyncFolderItems(shape, folder_ids("SyncFolderId", [folder]))
    if state:
        request.append(M.SyncState(state))
    request.append(M.MaxChangesReturned(str(max(1, min(limit, MOST_CHANGES)))))
    (answer,) = link.ask(request)
    if answer.code in _LOST_STATE and state:
        return None
    if not answer.is_good:
        raise refusal(link.settings, answer.code, answer.words)
    page = Page(answer.text("SyncState"), answer.text("IncludesLastItemInRange") != "false")
    for change in answer.within("Changes"):
        _take(page, change)
    # Some servers give a hundred deletions and say that this was all.
    page.is_last = page.is_last and len(page.removed) < _MANY_DELETES
    return page


def _take(page: Page, change: Element) -> None:
    page.is_empty = False
    kind = change.tag.rpartition("}")[2]
    item = change if kind in ("Delete", "ReadFlagChange") else next(iter(change), None)
    found = child(item, "ItemId") if item is not None else None
    if found is None:
        return
    if kind != "Delete":
        page.versions[found.get("Id")] = found.get("ChangeKey", "")
    places = {"Create": page.created, "Update": page.changed, "ReadFlagChange": page.changed, "Delete": page.removed}
    into = places.get(kind)
    if into is not None and found.get("Id") not in into:
        into.append(found.get("Id"))
    if arrived := moment(text(item, "DateTimeReceived")):
        page.newest = max(page.newest, int(arrived.timestamp()))
