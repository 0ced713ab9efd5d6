"""FindItem with a CalendarView: what stands in a calendar in a window, series worked out by the server.

A view knows no pages, only a most: a fuller one is asked for in halves.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from connectors.calendars import Window
from connectors.errors import ProtocolViolation
from connectors.exchange.calendars.ids import uid_of, uid_paths
from connectors.exchange.finding import MOST_FOUND
from connectors.exchange.link import Link
from connectors.exchange.trouble import LATER, refusal
from connectors.exchange.words import Element, M, child, field, folder_ids, item_shape, moment, text, utc

__all__ = ["OCCURRENCE", "Seen", "find_in_view", "overlaps"]

OCCURRENCE = "Occurrence"
_LONGEST = timedelta(days=700)
"""A view may span two years at the most."""
_SHORTEST = timedelta(minutes=1)
_PATHS = ("calendar:Start", "calendar:End", "calendar:CalendarItemType")


@dataclass(frozen=True, slots=True)
class Seen:
    """One entry. `kind` as CalendarItemType has it: Single, Occurrence (as its series has it), Exception."""

    ref: str
    uid: str
    kind: str
    start: datetime
    end: datetime


def find_in_view(link: Link, folder: str, window: Window) -> list[Seen]:
    """Everything of a calendar that overlaps the window. Raises ConnectorError."""
    found: dict[str, Seen] = {}
    start = window.start
    while start < window.end:
        end = min(start + _LONGEST, window.end)
        found |= {one.ref: one for one in _between(link, folder, start, end)}
        start = end
    return [one for one in found.values() if overlaps(one.start, one.end, window)]


def overlaps(start: datetime, end: datetime, window: Window) -> bool:
    """Whether [start, end) has anything of the window; a moment counts where it lies in it."""
    return start < window.end and (end > window.start or (start == end and start >= window.start))


def _between(link: Link, folder: str, start: datetime, end: datetime) -> Iterator[Seen]:
    view = M.CalendarView(MaxEntriesReturned=str(MOST_FOUND), StartDate=utc(start), EndDate=utc(end))
    request = M.FindItem(item_shape(*map(field, _PATHS), *uid_paths()), view, Traversal="Shallow")
    request.append(folder_ids("ParentFolderIds", [folder]))
    (answer,) = link.ask(request)
    if not answer.is_good:
        raise refusal(link.settings, answer.code, answer.words)
    root = answer.within("RootFolder")
    items = child(root, "Items")
    entries = list(items if items is not None else ())
    if root.get("IncludesLastItemInRange") != "false" and len(entries) < MOST_FOUND:
        yield from filter(None, map(_seen, entries))
        return
    if end - start < _SHORTEST:
        raise ProtocolViolation(link.settings.account, "a calendar does not come to an end within a minute", hint=LATER)
    middle = (start + (end - start) / 2).replace(microsecond=0)
    yield from _between(link, folder, start, middle)
    yield from _between(link, folder, middle, end)


def _seen(item: Element) -> Seen | None:
    id, start, end = child(item, "ItemId"), moment(text(item, "Start")), moment(text(item, "End"))
    if id is None or start is None:
        return None
    return Seen(str(id.get("Id")), uid_of(item), text(item, "CalendarItemType"), start, end or start)
