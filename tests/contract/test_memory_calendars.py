"""The contracts of calendars on the reference, in memory."""

from __future__ import annotations

import pytest
from calendar_contract import WINDOW, CalendarContract, CalendarDeskContract, event, read_all

from connectors.memory_calendars import MemoryCalendarDesk, MemoryCalendars, MemoryCalendarSource
from connectors.parsing import InlineParser


class MemoryHooks:
    """What both suites ask of memory calendars."""

    @pytest.fixture(autouse=True)
    def _calendars(self) -> None:
        self.calendars = MemoryCalendars({"Calendar": {}, "Team": {}})

    def put(self, name: str, data: bytes, *, second: bool = False) -> None:
        self.calendars.put(f"{name}.ics", data, "Team" if second else "Calendar")

    def snapshot(self) -> object:
        return {name: dict(objects) for name, objects in self.calendars.calendars.items()}


class TestMemoryCalendarSource(MemoryHooks, CalendarContract):
    def make_source(self) -> MemoryCalendarSource:
        return MemoryCalendarSource("ana", self.calendars, InlineParser(), zone="Europe/Lisbon")

    def remove(self, name: str) -> None:
        self.calendars.remove(f"{name}.ics")

    def test_a_server_that_forgets_doubles_nothing(self) -> None:
        self.fill(4)
        source = self.make_source()
        run = read_all(source)
        self.calendars.forgets = True
        self.remove("e1")
        self.put("e2", event("e2", "SEQUENCE:1"))
        later = read_all(source, run.cursor)
        assert later.names == ["e2"]
        assert [ref for _, ref in later.removed] == ["e1.ics"]

    def test_what_becomes_unreadable_is_not_gone(self) -> None:
        """What was known of it stays: it is told neither as read nor as removed."""
        self.fill(2)
        source = self.make_source()
        run = read_all(source)
        self.put("e1", event("e1", start="DTSTART:tomorrow"))
        later = read_all(source, run.cursor)
        assert (later.read, later.removed, [one.ref for one in later.unreadable]) == ([], [], ["e1.ics"])

    def test_a_calendar_that_vanishes_takes_its_objects_along(self) -> None:
        self.put("e1", event("e1"), second=True)
        source = self.make_source()
        run = read_all(source)
        del self.calendars.calendars["Team"]
        later = source.fetch(run.cursor, WINDOW, limit=5)
        assert later.removed == (("Team", "e1.ics"),)
        assert later.calendars == ("Calendar",)


class TestMemoryCalendarDesk(MemoryHooks, CalendarDeskContract):
    def make_desk(self) -> MemoryCalendarDesk:
        return MemoryCalendarDesk("ana", self.calendars, InlineParser(), zone="Europe/Lisbon")

    def stored(self, uid: str) -> bytes | None:
        objects = self.calendars.calendars["Calendar"]
        return next((one.data for ref, one in objects.items() if ref == f"{uid}.ics"), None)

    def overwrite(self, uid: str, data: bytes) -> None:
        self.calendars.put(f"{uid}.ics", data)

    def delete(self, uid: str) -> None:
        self.calendars.remove(f"{uid}.ics")
