"""Builds calendar sources and desks from the settings. A new kind of calendar is one line in each table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from config.calendars import (
    CaldavCalendar,
    ExchangeCalendar,
    FolderCalendar,
    GraphCalendar,
    IcsCalendar,
    MemoryCalendar,
)
from config.settings import Settings
from connectors.factory import Surroundings, exchange_settings
from connectors.protocols import CalendarDesk, CalendarParser, CalendarSource

if TYPE_CHECKING:
    from connectors.caldav.settings import CaldavSettings
    from connectors.calendar_files import FileCalendarSettings
    from connectors.exchange.calendars.settings import ExchangeCalendarSettings
    from connectors.graph.settings import GraphCalendarSettings

__all__ = [
    "CALENDAR_DESKS",
    "CALENDAR_SOURCES",
    "Wanted",
    "build_calendar_desk",
    "build_calendar_source",
    "caldav_settings",
    "exchange_calendar_settings",
]


@dataclass(frozen=True, slots=True)
class Wanted:
    """One entry of `calendars:` that is to be built. `calendar` is a model of `config.calendars`, `mailbox` the account
    that opens it, None where it has a login of its own; `zone` is its owner's, for times that name none."""

    name: str
    calendar: Any
    mailbox: Any
    zone: str
    parser: CalendarParser
    around: Surroundings

    @classmethod
    def of(cls, name: str, settings: Settings, parser: CalendarParser, around: Surroundings) -> Wanted:
        """From the settings of the office."""
        mailbox, zone = settings.calendar_mailbox(name), settings.calendar_zone(name)
        return cls(name, settings.calendars[name], mailbox, zone, parser, around)


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


def _caldav(one: Wanted) -> CalendarSource:
    from connectors.caldav.source import CaldavSource  # only where there is a calendar server

    return CaldavSource(caldav_settings(one.name, one.calendar, one.around, one.zone), one.parser)


def _caldav_desk(one: Wanted) -> CalendarDesk:
    from connectors.caldav.source import CaldavDesk

    return CaldavDesk(caldav_settings(one.name, one.calendar, one.around, one.zone), one.parser)


def exchange_calendar_settings(one: Wanted) -> ExchangeCalendarSettings:
    """What the connector of Exchange's calendars needs to know: the mailbox's own login. Raises SecretUnavailable."""
    from connectors.exchange.calendars.settings import ExchangeCalendarSettings

    calendar = one.calendar
    login = exchange_settings(calendar.account or one.name, one.mailbox, one.around)
    login = replace(login, account=one.name, since=None, only=tuple(calendar.only), skip=tuple(calendar.not_))
    return ExchangeCalendarSettings(login=login, reminders=calendar.reminders, tasks=calendar.tasks, zone=one.zone)


def _exchange(one: Wanted) -> CalendarSource:
    from connectors.exchange.calendars.source import ExchangeCalendarSource  # only where there is an Exchange Server

    return ExchangeCalendarSource(exchange_calendar_settings(one), heard=one.around.heard)


def _exchange_desk(one: Wanted) -> CalendarDesk:
    from connectors.exchange.calendars.desk import ExchangeCalendarDesk

    return ExchangeCalendarDesk(exchange_calendar_settings(one))


def graph_calendar_settings(one: Wanted) -> GraphCalendarSettings:
    """What the Graph connector needs to know of the calendars of a mailbox."""
    from connectors.graph.settings import GraphCalendarSettings

    return GraphCalendarSettings(
        account=one.name,
        login=one.mailbox.login,
        tokens=one.around.tokens(one.name, one.mailbox, calendar=True),
        by_address=one.mailbox.by_address,
        service=one.mailbox.service,
        only=tuple(one.calendar.only),
        skip=tuple(one.calendar.not_),
        reminders=one.calendar.reminders,
        tasks=one.calendar.tasks,
        zone=one.zone,
    )


def _graph(one: Wanted) -> CalendarSource:
    from connectors.graph.calendar_source import GraphCalendarSource  # only where somebody has such calendars

    return GraphCalendarSource(graph_calendar_settings(one))


def _graph_desk(one: Wanted) -> CalendarDesk:
    from connectors.graph.calendar_desk import GraphCalendarDesk

    return GraphCalendarDesk(graph_calendar_settings(one))


def file_calendar_settings(one: Wanted) -> FileCalendarSettings:
    """Which files are read, and which folder takes reminders."""
    from connectors.calendar_files import FileCalendarSettings

    return FileCalendarSettings(
        account=one.name,
        path=one.around.path(one.calendar.path),
        single=isinstance(one.calendar, IcsCalendar),
        only=tuple(one.calendar.only),
        skip=tuple(one.calendar.not_),
        reminders=one.calendar.reminders,
        tasks=one.calendar.tasks,
        zone=one.zone,
    )


def _files(one: Wanted) -> CalendarSource:
    from connectors.calendar_files import FileCalendarSource

    return FileCalendarSource(file_calendar_settings(one), one.parser)


def _files_desk(one: Wanted) -> CalendarDesk:
    from connectors.calendar_files import FileCalendarDesk

    return FileCalendarDesk(file_calendar_settings(one), one.parser)


def _memory(one: Wanted) -> CalendarSource:
    from connectors.memory_calendars import MemoryCalendarSource

    return MemoryCalendarSource(one.name, one.around.calendars_of(one.name), one.parser, zone=one.zone)


def _memory_desk(one: Wanted) -> CalendarDesk:
    from connectors.memory_calendars import MemoryCalendarDesk

    return MemoryCalendarDesk(one.name, one.around.calendars_of(one.name), one.parser, zone=one.zone)


CALENDAR_SOURCES: Mapping[type[Any], Callable[[Wanted], CalendarSource]] = {
    CaldavCalendar: _caldav,
    ExchangeCalendar: _exchange,
    FolderCalendar: _files,
    GraphCalendar: _graph,
    IcsCalendar: _files,
    MemoryCalendar: _memory,
}
CALENDAR_DESKS: Mapping[type[Any], Callable[[Wanted], CalendarDesk]] = {
    CaldavCalendar: _caldav_desk,
    ExchangeCalendar: _exchange_desk,
    FolderCalendar: _files_desk,
    GraphCalendar: _graph_desk,
    IcsCalendar: _files_desk,
    MemoryCalendar: _memory_desk,
}


def build_calendar_source(
    name: str, settings: Settings, parser: CalendarParser, around: Surroundings
) -> CalendarSource:
    """The source of `calendars.NAME`. Connects to nothing yet. Raises SecretUnavailable."""
    return CALENDAR_SOURCES[type(settings.calendars[name])](Wanted.of(name, settings, parser, around))


def build_calendar_desk(name: str, settings: Settings, parser: CalendarParser, around: Surroundings) -> CalendarDesk:
    """The desk in `calendars.NAME`. Connects to nothing yet. Raises SecretUnavailable."""
    return CALENDAR_DESKS[type(settings.calendars[name])](Wanted.of(name, settings, parser, around))
