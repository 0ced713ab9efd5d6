"""Builds calendar sources and desks from the settings. A new kind of calendar is one line in each table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from config.calendars import CaldavCalendar, Calendar, MemoryCalendar
from connectors.factory import Surroundings
from connectors.protocols import CalendarDesk, CalendarParser, CalendarSource

if TYPE_CHECKING:
    from connectors.caldav.settings import CaldavSettings

__all__ = ["CALENDAR_DESKS", "CALENDAR_SOURCES", "build_calendar_desk", "build_calendar_source", "caldav_settings"]


_Build = Callable[[str, Any, CalendarParser, Surroundings, str], Any]


def caldav_settings(name: str, calendar: CaldavCalendar, around: Surroundings, zone: str) -> CaldavSettings:
    """What the CalDAV connector needs to know. Raises SecretUnavailable."""
    from connectors.caldav.settings import CaldavSettings

    return CaldavSettings(
        account=name,
        url=calendar.url,
        login=calendar.login,
        password=around.secret(calendar.password),
        tokens=around.tokens(name, calendar) if calendar.sign_in else None,
        ca=str(around.path(calendar.ca)) if calendar.ca else "",
        only=tuple(calendar.only),
        skip=tuple(calendar.not_),
        reminders=calendar.reminders,
        tasks=calendar.tasks,
        zone=zone,
    )


def _caldav(name: str, calendar: CaldavCalendar, parser: CalendarParser, around: Surroundings, zone: str) -> Any:
    from connectors.caldav.source import CaldavSource  # only where there is a calendar server

    return CaldavSource(caldav_settings(name, calendar, around, zone), parser)


def _caldav_desk(name: str, calendar: CaldavCalendar, parser: CalendarParser, around: Surroundings, zone: str) -> Any:
    from connectors.caldav.source import CaldavDesk

    return CaldavDesk(caldav_settings(name, calendar, around, zone), parser)


def _memory(name: str, _: MemoryCalendar, parser: CalendarParser, around: Surroundings, zone: str) -> Any:
    from connectors.memory_calendars import MemoryCalendarSource

    return MemoryCalendarSource(name, around.calendars_of(name), parser, zone=zone)


def _memory_desk(name: str, _: MemoryCalendar, parser: CalendarParser, around: Surroundings, zone: str) -> Any:
    from connectors.memory_calendars import MemoryCalendarDesk

    return MemoryCalendarDesk(name, around.calendars_of(name), parser, zone=zone)


CALENDAR_SOURCES: Mapping[type[Any], _Build] = {CaldavCalendar: _caldav, MemoryCalendar: _memory}
CALENDAR_DESKS: Mapping[type[Any], _Build] = {CaldavCalendar: _caldav_desk, MemoryCalendar: _memory_desk}


def build_calendar_source(
    name: str, calendar: Calendar, parser: CalendarParser, around: Surroundings, *, zone: str
) -> CalendarSource:
    """The source of `calendars.NAME`; floating times are in `zone`, its owner's. Connects to nothing yet. Raises
    SecretUnavailable."""
    found: CalendarSource = CALENDAR_SOURCES[type(calendar)](name, calendar, parser, around, zone)
    return found


def build_calendar_desk(
    name: str, calendar: Calendar, parser: CalendarParser, around: Surroundings, *, zone: str
) -> CalendarDesk:
    """The desk in `calendars.NAME`. Connects to nothing yet. Raises SecretUnavailable."""
    found: CalendarDesk = CALENDAR_DESKS[type(calendar)](name, calendar, parser, around, zone)
    return found
