"""FindItem: items of a folder by arrival, newest first, and mail of ours by what it is known by."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from connectors.exchange.cursor import Marks, mark_of
from connectors.exchange.link import Link
from connectors.exchange.trouble import refusal
from connectors.exchange.words import Element, M, T, child, field, folder_ids, item_shape, moment, text, utc

__all__ = ["MOST_FOUND", "arrived", "equals", "find", "find_arrivals"]

MOST_FOUND = 1000
"""EwsFindCountLimit of the default throttling policy."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Found = tuple[str, int]
"""(id, arrival in seconds since 1970)."""


def arrived(comparison: str, at: int) -> Element:
    """A condition on the time of arrival: "IsLessThan", "IsGreaterThanOrEqualTo"."""
    constant = T.Constant(Value=utc(datetime.fromtimestamp(at, UTC)))
    return T(comparison, field("item:DateTimeReceived"), T.FieldURIOrConstant(constant))


def equals(path: Element, value: str) -> Element:
    """A condition: a property has this value."""
    return T.IsEqualTo(path, T.FieldURIOrConstant(T.Constant(Value=value)))


def find(
    link: Link, folder: str, *conditions: Element, limit: int = MOST_FOUND, offset: int = 0
) -> tuple[list[Found], bool]:
    """At most `limit` items that fulfil all conditions, newest first, and whether these are the last.

    Raises ConnectorError.
    """
    limit = max(1, min(limit, MOST_FOUND))
    view = M.IndexedPageItemView(MaxEntriesReturned=str(limit), Offset=str(offset), BasePoint="Beginning")
    request = M.FindItem(item_shape(field("item:DateTimeReceived")), view, Traversal="Shallow")
    if conditions:
        request.append(M.Restriction(T.And(*conditions) if len(conditions) > 1 else conditions[0]))
    request.append(M.SortOrder(T.FieldOrder(field("item:DateTimeReceived"), Order="Descending")))
    request.append(folder_ids("ParentFolderIds", [folder]))
    (answer,) = link.ask(request)
    if not answer.is_good:
        raise refusal(link.settings, answer.code, answer.words)
    root = answer.within("RootFolder")
    items = child(root, "Items")
    found = list(_each(items if items is not None else ()))
    return found, root.get("IncludesLastItemInRange") != "false" or not found


def _each(items: Element) -> Iterator[Found]:
    for item in items:
        ref = child(item, "ItemId")
        if ref is not None:
            at = moment(text(item, "DateTimeReceived")) or _EPOCH
            yield str(ref.get("Id")), int(at.timestamp())


def find_arrivals(link: Link, folder: str, *, since: int, before: int, limit: int, skip: Marks) -> list[Found]:
    """Up to `limit` items that arrived from `since` until before `before`, newest first, without those marked in
    `skip`. Fewer than `limit` = there are no more."""
    conditions = [arrived("IsLessThan", before)] + ([arrived("IsGreaterThanOrEqualTo", since)] if since else [])
    found: list[Found] = []
    offset, last = 0, False
    while not last and len(found) < limit:
        page, last = find(link, folder, *conditions, limit=limit - len(found), offset=offset)
        offset += len(page)
        found += [one for one in page if mark_of(one[0]) not in skip]
    return found
