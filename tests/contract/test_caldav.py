"""The contracts of calendars on real CalDAV servers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from calendar_contract import CalendarContract, CalendarDeskContract, event, read_all
from servers.calendars import CalendarServer, RadicaleServer, TestCalendar, XandikosServer
from servers.davical import DavicalServer

from connectors.caldav.settings import CaldavSettings
from connectors.caldav.source import CaldavDesk, CaldavSource
from connectors.errors import Misconfigured
from connectors.parsing import InlineParser


class CaldavHooks:
    """What the suites ask of a server: two fresh calendars for each test."""

    @pytest.fixture(autouse=True)
    def _calendars(self, server: CalendarServer) -> Iterator[None]:
        self.server = server
        self.first, self.other = server.make_calendar(), server.make_calendar()
        yield
        for calendar in (self.first, self.other):
            server.ask("DELETE", calendar.path)

    def settings(self, **changes: object) -> CaldavSettings:
        known: dict[str, object] = {
            "account": "ana",
            "url": self.server.url,
            "login": "ana",
            "password": "secret",
            "only": (self.first.name, self.other.name),
            "reminders": self.first.name,
            "tasks": self.first.name,
            "zone": "Europe/Lisbon",
        }
        return CaldavSettings(**(known | changes))  # type: ignore[arg-type]

    def put(self, name: str, data: bytes, *, second: bool = False) -> None:
        self.calendar(second).put(f"{name}.ics", data)

    def calendar(self, second: bool) -> TestCalendar:
        return self.other if second else self.first

    def snapshot(self) -> object:
        return self.first.snapshot(), self.other.snapshot()


class CaldavSourceContract(CaldavHooks, CalendarContract):
    def make_source(self, **changes: object) -> CaldavSource:
        return CaldavSource(self.settings(**changes), InlineParser())

    def remove(self, name: str) -> None:
        self.first.remove(f"{name}.ics")

    def test_the_address_of_one_calendar_is_enough(self) -> None:
        self.put("e1", event("e1"))
        source = self.make_source(url=self.first.url, only=())
        assert read_all(source).names == ["e1"]
        source.close()

    def test_a_token_that_the_server_has_lost(self) -> None:
        """Nothing is doubled, what went meanwhile is known, what changed comes again."""
        for number in range(4):
            self.put(f"e{number}", event(f"e{number}"))
        source = self.make_source()
        run = read_all(source)
        lost = self.lose(str(run.cursor))
        self.remove("e1")
        self.put("e2", event("e2", "SEQUENCE:1"))
        later = read_all(source, type(run.cursor)(lost))
        assert later.names == ["e2"]
        assert len(later.removed) == 1
        assert read_all(source, later.cursor).read == []
        source.close()

    def lose(self, cursor: str) -> str:
        """The cursor with tokens that this server never gave."""
        import json

        data = json.loads(cursor)
        for one in data["calendars"].values():
            assert one[1].startswith("sync:")
            one[1] = one[1][:-8] + "deadbeef"
        return json.dumps(data)

    def test_without_sync_the_etags_are_compared(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from connectors.caldav.shelf import CaldavShelf

        monkeypatch.setattr(CaldavShelf, "_sync", lambda *_: None)
        for number in range(4):
            self.put(f"e{number}", event(f"e{number}"))
        source = self.make_source()
        run = read_all(source)
        assert len(run.names) == 4
        assert read_all(source, run.cursor).read == []
        self.remove("e1")
        self.put("e2", event("e2", "SEQUENCE:1"))
        later = read_all(source, run.cursor)
        assert (later.names, len(later.removed)) == (["e2"], 1)
        source.close()


class CaldavDeskSuite(CaldavHooks, CalendarDeskContract):
    def make_desk(self) -> CaldavDesk:
        return CaldavDesk(self.settings(), InlineParser())

    def stored(self, uid: str) -> bytes | None:
        return self.first.get(f"{uid}.ics")

    def overwrite(self, uid: str, data: bytes) -> None:
        self.first.put(f"{uid}.ics", data)

    def delete(self, uid: str) -> None:
        self.first.remove(f"{uid}.ics")

    def test_an_item_is_found_where_its_owner_moved_it(self) -> None:
        from calendar_contract import ITEM

        desk = self.make_desk()
        desk.put(ITEM)
        data = self.stored(ITEM.uid) or b""
        self.delete(ITEM.uid)
        self.other.put("another-name.ics", data)
        found = desk.find(ITEM.uid, ITEM.kind)
        assert found is not None
        assert (found.calendar, found.ref) == (self.other.name, "another-name.ics")
        assert desk.remove(found)
        desk.close()

    def test_an_item_is_found_after_its_calendar_got_another_name(self) -> None:
        from calendar_contract import ITEM

        desk = self.make_desk()
        desk.put(ITEM)
        desk.close()
        desk = CaldavDesk(self.settings(reminders="as it was called"), InlineParser())
        with pytest.raises(Misconfigured, match="as it was called"):
            desk.put(replace(ITEM, uid=f"{ITEM.uid}-2"))
        found = desk.find(ITEM.uid, ITEM.kind)
        assert found is not None
        assert desk.remove(found)
        desk.close()

    @pytest.mark.parametrize("choice", ["only", "skip"])
    def test_without_a_name_items_go_where_is_read(self, choice: str) -> None:
        """In which order a server lists its calendars means nothing."""
        from calendar_contract import ITEM, WINDOW

        source = CaldavSource(self.settings(only=()), InlineParser())
        every = set(source.fetch(None, WINDOW, limit=1000).calendars)
        source.close()
        for mine, others in ((self.first, self.other), (self.other, self.first)):
            chosen = (mine.name,) if choice == "only" else tuple(every - {mine.name})
            desk = CaldavDesk(self.settings(**{"only": (), "reminders": "", choice: chosen}), InlineParser())
            placed = desk.put(ITEM)
            assert (placed.calendar, others.get(placed.ref)) == (mine.name, None)
            assert desk.remove(placed)
            desk.close()


class OnRadicale:
    @pytest.fixture
    def server(self, radicale: RadicaleServer) -> CalendarServer:
        return radicale


class OnXandikos:
    @pytest.fixture
    def server(self, xandikos: XandikosServer) -> CalendarServer:
        return xandikos


class OnDavical:
    @pytest.fixture
    def server(self, davical: DavicalServer) -> CalendarServer:
        return davical


class TestDavicalSource(OnDavical, CaldavSourceContract):
    """https://www.davical.org. It never loses a token, and reads one it never gave as the beginning."""


class TestDavicalDesk(OnDavical, CaldavDeskSuite):
    """https://www.davical.org"""


class TestRadicaleSource(OnRadicale, CaldavSourceContract):
    """https://radicale.org"""


class TestRadicaleDesk(OnRadicale, CaldavDeskSuite):
    """https://radicale.org"""


class TestXandikosSource(OnXandikos, CaldavSourceContract):
    """https://www.xandikos.org"""


class TestXandikosDesk(OnXandikos, CaldavDeskSuite):
    """https://www.xandikos.org"""
