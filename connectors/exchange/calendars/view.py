"""FindItem with a CalendarView: what stands in a calendar in a window, series worked out by the server.

A view knows no pages, only a most: a fuller one is asked for in halves. So is one that the server cannot give because
of a single broken series in it, down to the days on which that one falls.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from connectors.calendars import Window
from connectors.errors import ProtocolViolation
from connectors.exchange.calendars.ids import uid_of, uid_paths
from connectors.exchange.finding import MOST_FOUND
from connectors.exchange.link import Link
from connectors.exchange.trouble import LATER, TABLE, refusal
from connectors.exchange.words import Element, M, child, folder_ids, item_shape, moment, text, utc
from connectors.exchange.words import field as path

__all__ = ["OCCURRENCE", "Seen", "View", "find_in_view", "overlaps"]

OCCURRENCE = "Occurrence"
_LONGEST = timedelta(days=700)
"""A view may span two years at the most."""
_SHORTEST = timedelta(minutes=1)
_A_DAY = timedelta(days=1)
_MOST_GAPS = 10
_PATHS = ("calendar:Start", "calendar:End", "calendar:CalendarItemType")


@dataclass(frozen=True, slots=True)
class Seen:
    """One entry. `kind` as CalendarItemType has it: Single, Occurrence (as its series has it), Exception."""

    ref: str
    uid: str
    kind: str
    start: datetime
    end: datetime


@dataclass(slots=True)
class View:
    """What a calendar shows. `gaps` are the times for which the server gives nothing, each with its words."""

    seen: dict[str, Seen] = field(default_factory=dict)
    gaps: list[str] = field(default_factory=list)


def find_in_view(link: Link, folder: str, window: Window) -> View:
    """Everything of a calendar that overlaps the window. Raises ConnectorError."""
    view = View()
    start = window.start
    while start < window.end:
        end = min(start + _LONGEST, window.end)
        _fill(view, link, folder, start, end)
        start = end
    view.seen = {ref: one for ref, one in view.seen.items() if overlaps(one.start, one.end, window)}
    return view


def overlaps(start: datetime, end: datetime, window: Window) -> bool:
    """Whether [start, end) has anything of the window; a moment counts where it lies in it."""
    return start < window.end and (end > window.start or (start == end and start >= window.start))


def _fill(view: View, link: Link, folder: str, start: datetime, end: datetime) -> None:
    wanted = M.CalendarView(MaxEntriesReturned=str(MOST_FOUND), StartDate=utc(start), EndDate=utc(end))
    request = M.FindItem(item_shape(*map(path, _PATHS), *uid_paths()), wanted, Traversal="Shallow")
    request.append(folder_ids("ParentFolderIds", [folder]))
    (answer,) = link.ask(request)
    if not answer.is_good:
        if answer.code in TABLE:
            raise refusal(link.settings, answer.code, answer.words)
        if end - start <= _A_DAY or len(view.gaps) >= _MOST_GAPS:
            view.gaps.append(f"the server does not show {start:%Y-%m-%d} to {end:%Y-%m-%d}: {answer.words}")
            return
    root = answer.within("RootFolder")
    items = child(root, "Items")
    entries = list(items if items is not None else ())
    if answer.is_good and root.get("IncludesLastItemInRange") != "false" and len(entries) < MOST_FOUND:
        view.seen |= {one.ref: one for one in map(_seen, entries) if one is not None}
        return
    if end - start < _SHORTEST:
        raise ProtocolViolation(link.settings.account, "a calendar does not come to an end within a minute", hint=LATER)
    middle = (start + (end - start) / 2).replace(microsecond=0)
    _fill(view, link, folder, start, middle)
    _fill(view, link, folder, middle, end)


def _seen(item: Element) -> Seen | None:
    id, start, end = child(item, "ItemId"), moment(text(item, "Start")), moment(text(item, "End"))
    if id is None or start is None:
        return None
    return Seen(str(id.get("Id")), uid_of(item), text(item, "CalendarItemType"), start, end or start)
