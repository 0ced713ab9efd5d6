"""Lays reminders into the calendars and lists of tasks of a mailbox in Microsoft 365, and looks after them there.

Each write names the version it was made for (If-Match): what its owner changed at that moment stays as it is. An event
by which somebody was invited is its owner's, and no more ours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from connectors.calendar_shelf import gone, require_own
from connectors.calendars import ItemKind, OwnItem, PlacedItem
from connectors.errors import Misconfigured, Unavailable
from connectors.graph.calendars import calendar_refused
from connectors.graph.client import GraphClient, Lost, Refused
from connectors.graph.own_events import OwnEvents
from connectors.graph.own_tasks import OwnTasks
from connectors.graph.settings import GraphCalendarSettings
from connectors.graph.trouble import translated

__all__ = ["GraphCalendarDesk"]


class GraphCalendarDesk:
    """A `CalendarDesk` in one mailbox."""

    def __init__(self, settings: GraphCalendarSettings) -> None:
        self._account = settings.account
        self._client = GraphClient(settings)
        self._kinds: dict[ItemKind, OwnEvents | OwnTasks] = {
            ItemKind.EVENT: OwnEvents(settings, self._client),
            ItemKind.TASK: OwnTasks(settings, self._client),
        }

    def check(self) -> tuple[str, ...]:
        """Connect and say where items go. That there is no way for tasks is told only."""
        with self._working():
            events = f"reminders go to the calendar {self._kinds[ItemKind.EVENT].home()}"
        try:
            with self._working():
                return events, f"tasks go to the list {self._kinds[ItemKind.TASK].home()}"
        except Misconfigured as error:
            return events, f"no task can be laid here: {error.message}"

    def put(self, item: OwnItem, *, revision: str = "") -> PlacedItem:
        """Lay the item there, or change the one at `revision`."""
        require_own(item.uid)
        items = self._kinds[item.kind]
        with self._working():
            lies = items.find(item.uid)
            if lies is None:
                return gone(item) if revision else items.create(item) or gone(item)
            if not lies.ours or lies.revision != revision:
                return replace(lies, written=False)
            written = _unless_changed(lambda: items.change(item, lies))
            found = items.find(item.uid)
        return replace(found, written=written) if found else gone(item)

    def find(self, uid: str, kind: ItemKind) -> PlacedItem | None:
        """The item as it lies there now."""
        require_own(uid)
        with self._working():
            return self._kinds[kind].find(uid)

    def remove(self, placed: PlacedItem) -> bool:
        """Remove it if it is still ours and as it was looked at."""
        require_own(placed.uid)
        items = self._kinds[placed.kind]
        with self._working():
            lies = items.find(placed.uid)
            if lies is None:
                return True
            if not lies.ours or lies.revision != placed.revision:
                return False
            return _unless_changed(lambda: items.remove(lies))

    def close(self) -> None:
        """Let go of the connections."""
        self._client.close()

    @contextmanager
    def _working(self) -> Iterator[None]:
        """Errors translated. What was made and not confirmed is looked for at the next try."""
        with translated(self._account, self._client.where, calendar_refused):
            try:
                yield
            except Lost as error:
                raise Unavailable(
                    self._account,
                    f"{self._client.where} did not say whether it did what it was asked: {error}",
                    hint="nothing to do: it is looked up and tried again",
                ) from error


def _unless_changed(write: Callable[[], None]) -> bool:
    """False if somebody was quicker, and nothing was written."""
    try:
        write()
    except Refused as error:
        if error.status != 412:
            raise
        return False
    return True
