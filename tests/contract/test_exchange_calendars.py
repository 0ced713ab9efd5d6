"""The contracts of calendars on an Exchange Server, and what only its calendars do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

import pytest
from calendar_contract import CalendarContract, CalendarDeskContract, event
from exchange_settings import settings_for
from servers.ews import EwsServer
from servers.ews_calendars import Appointment, Todo
from servers.ews_ical import as_ical, lay
from servers.ews_store import Folder, Item

from connectors.exchange.calendars.desk import ExchangeCalendarDesk
from connectors.exchange.calendars.items import STAMP
from connectors.exchange.calendars.settings import ExchangeCalendarSettings
from connectors.exchange.calendars.source import ExchangeCalendarSource
from connectors.exchange.words import OUR_SET


@pytest.fixture
def server() -> Iterator[EwsServer]:
    with EwsServer() as running:
        running.box.add_folder("Team", parent=running.box.folder("calendar").id, folder_class="IPF.Appointment")
        yield running
        assert not running.violations
        assert not running.invitations


class ExchangeHooks:
    """What the suites ask of the server's first mailbox."""

    server: EwsServer

    @pytest.fixture(autouse=True)
    def _place(self, server: EwsServer) -> None:
        self.server = server
        self.ids: dict[str, str] = {}

    def settings(self, **changes: object) -> ExchangeCalendarSettings:
        login = settings_for(self.server, account="ana", **changes)
        return ExchangeCalendarSettings(login=login, zone="Europe/Lisbon")

    def folder(self, second: bool = False) -> Folder:
        return self.server.box.folder("Team" if second else "calendar")

    def item(self, name: str) -> Item | None:
        return self.server.box.find(self.ids.get(name, ""))

    def put(self, name: str, data: bytes, *, second: bool = False) -> None:
        self.ids[name] = lay(self.server.box, self.folder(second), data, over=self.item(name)).id

    def snapshot(self) -> object:
        return {name: {id: asdict(item) for id, item in one.items.items()} for name, one in self.folders().items()}

    def folders(self) -> dict[str, Folder]:
        return {one.name: one for one in self.server.box.folders.values()}


class SourceHooks(ExchangeHooks):
    """With a source."""

    def make_source(self, **changes: object) -> ExchangeCalendarSource:
        return ExchangeCalendarSource(self.settings(**changes))

    def remove(self, name: str) -> None:
        item = self.item(name)
        assert item is not None
        self.server.box.remove(item)

    def fill(self, count: int) -> None:
        for number in range(count):
            self.put(f"e{number}", event(f"e{number}"))


class DeskHooks(SourceHooks):
    """With a desk."""

    def make_desk(self) -> ExchangeCalendarDesk:
        return self.desk_on(self.settings())

    def desk_on(self, settings: ExchangeCalendarSettings) -> ExchangeCalendarDesk:
        return ExchangeCalendarDesk(settings)

    def stored_item(self, uid: str) -> Appointment | Todo | None:
        for item in self.server.box.items():
            if item.extended.get((f"{OUR_SET}/{STAMP}", "String")) == uid:
                assert isinstance(item, Appointment | Todo)
                return item
        return None

    def stored(self, uid: str) -> bytes | None:
        item = self.stored_item(uid)
        return as_ical(item, uid) if item else None

    def overwrite(self, uid: str, data: bytes) -> None:
        item = self.stored_item(uid)
        assert item is not None
        lay(self.server.box, self.folder(), data, over=item)

    def delete(self, uid: str) -> None:
        item = self.stored_item(uid)
        assert item is not None
        self.server.box.remove(item)


class TestExchangeCalendarSource(SourceHooks, CalendarContract):
    """By SyncFolderItems and CalendarView."""


class TestExchangeCalendarDesk(DeskHooks, CalendarDeskContract):
    """By CreateItem, UpdateItem and DeleteItem that send nothing."""
