"""The calendar source and desk on a CalDAV server."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from connectors.caldav.settings import CaldavSettings
from connectors.caldav.shelf import CaldavShelf
from connectors.calendar_shelf import ShelfCalendarDesk, ShelfCalendarSource
from connectors.protocols import CalendarParser

__all__ = ["CaldavDesk", "CaldavSource"]


class CaldavSource(ShelfCalendarSource):
    """A `CalendarSource` on the calendars of one login."""

    def __init__(self, settings: CaldavSettings, parser: CalendarParser) -> None:
        super().__init__(settings.account, CaldavShelf(settings), parser, zone=settings.zone)


class CaldavDesk(ShelfCalendarDesk):
    """A `CalendarDesk` in the calendars of one login."""

    def __init__(
        self,
        settings: CaldavSettings,
        parser: CalendarParser,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        super().__init__(settings.account, CaldavShelf(settings), parser, zone=settings.zone, clock=clock)
